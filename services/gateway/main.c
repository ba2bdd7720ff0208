#include "services/gateway/gateway.h"

static const struct bus_method methods[] = {
    {"jobs_changed", gateway_jobs_changed},
    {"revoked", gateway_revoked},
    {"partial", gateway_partial},
};

static const char *const required[] = {"JWT_SECRET", NULL};

static const struct service_def definition = {
    .name = "gateway",
    .summary = "answers the REST API and passes its calls on to the bus",
    .methods = methods,
    .method_count = sizeof(methods) / sizeof(*methods),
    SERVICE_SETTINGS,
    .required = required,
    .start = gateway_start,
    .drain = gateway_drain,
    .drained = gateway_drained,
    .stop = gateway_stop,
};

int main(int argc, char **argv)
{
    return service_main(&definition, argc, argv);
}
