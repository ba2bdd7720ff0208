#include "services/monitor/monitor.h"

static const struct service_def definition = {
    .name = "monitor",
    .summary = "shows operators how the system does: the dashboard, and Flower's HTTP calls",
    SERVICE_SETTINGS,
    .start = monitor_start,
    .drain = monitor_drain,
    .drained = monitor_drained,
    .stop = monitor_stop,
};

int main(int argc, char **argv)
{
    return service_main(&definition, argc, argv);
}
