/* mcpbus-broker: passes messages between gateways, services and workers. */
#include <string.h>

#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/broker/broker.h"
#include "services/settings.h"

static enum err start(struct service *service)
{
    const struct settings *settings = service->settings;
    struct broker *broker = NULL;
    char why[BUS_WHY_SIZE] = "";
    AUTOFREE char *key = service_key(settings->bus_keys, settings->bus_key, "broker");
    struct broker_options options = {.address = settings->broker_address,
                                     .port = (int)settings->broker_port,
                                     .plain = strcmp(settings->bus_security, "plain") == 0,
                                     .keys = settings->bus_keys,
                                     .key = key,
                                     .memory_mib = settings->broker_memory};
    enum err err = broker_new(service->loop, &options, &broker, why);
    if (err) {
        log_error("not_listening", LOG_S("address", settings->broker_address),
                  LOG_I("port", settings->broker_port), LOG_S("reason", why));
        return err;
    }
    service->state = broker;
    log_info("listening", LOG_S("endpoint", broker_endpoint(broker)),
             LOG_S("security", settings->bus_security));
    return ERR_OK;
}

static void drain(struct service *service)
{
    broker_drain(service->state);
}

static bool drained(struct service *service)
{
    return broker_drained(service->state);
}

static void stop(struct service *service)
{
    broker_destroy((struct broker **)&service->state);
}

int main(int argc, char **argv)
{
    static const struct service_def def = {
        .name = "broker",
        .summary = "passes messages between gateways, services and workers",
        SERVICE_SETTINGS,
        .off_bus = true,
        .start = start,
        .drain = drain,
        .drained = drained,
        .stop = stop,
    };
    return service_main(&def, argc, argv);
}
