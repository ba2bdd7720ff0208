/* mcpbus-worker: executes jobs, each in a process of its own. */
#include "services/settings.h"
#include "services/worker/worker.h"

static const struct bus_method methods[] = {
    {"run", worker_on_run},
    {"cancel", worker_on_cancel},
    {"drain", worker_on_drain},
    {"watch", worker_on_watch},
};

static const struct service_def def = {
    .name = "worker",
    .summary = "executes jobs: the model over the tools of the configured MCP servers",
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
    SERVICE_SETTINGS,
    .early = worker_early,
    .start = worker_start,
    .drain = worker_drain,
    .drained = worker_drained,
    .drain_ms = WORKER_DRAIN_MS,
    .stop = worker_stop,
    .problem = worker_problem,
    .privileged = true,
};

int main(int argc, char **argv)
{
    return service_main(&def, argc, argv);
}
