/* mcpbus-broker: passes messages between gateways, services and workers. */
#include "libcommon/log.h"
#include "services/broker/broker.h"
#include "services/settings.h"

static enum err start(struct service *service)
{
    const struct settings *settings = service->settings;
    struct broker *broker = NULL;
    enum err err =
        broker_new(service->loop, settings->broker_address, (int)settings->broker_port, &broker);
    if (err) {
        log_error("bind_failed", LOG_S("address", settings->broker_address),
                  LOG_I("port", settings->broker_port),
                  LOG_S("hint", "is the port taken? BROKER_PORT sets another"));
        return err;
    }
    service->state = broker;
    log_info("listening", LOG_S("endpoint", broker_endpoint(broker)));
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
