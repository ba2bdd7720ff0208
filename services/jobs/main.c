/* mcpbus-jobs: accepts jobs, gives them to workers, keeps what became of them. */
#include "libcommon/bus_reach.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/jobs/jobs.h"

static void on_probed(void *arg, enum err error)
{
    bus_reach_answered(arg, error);
}

static void ask_database(void *arg, struct bus_reach *reach)
{
    struct jobs *jobs = arg;
    store_probe(jobs->store, on_probed, reach);
}

static enum err start(struct service *service)
{
    struct jobs *jobs = mem_alloc(sizeof *jobs);
    jobs->loop = service->loop;
    jobs->bus = service->bus;
    jobs->settings = service->settings;
    struct store_options options = {
        .loop = jobs->loop,
        .url = jobs->settings->database_url,
        .job_timeout_ms = jobs->settings->job_timeout * 1000,
        .max_attempts = jobs->settings->job_max_attempts,
        .approval_timeout_ms = jobs->settings->approval_timeout * 1000,
    };
    enum err error = store_new(&options, &jobs->store);
    if (error) {
        log_error("bad_database_url",
                  LOG_S("hint", "DATABASE_URL takes postgresql://user:password@host:5432/name"));
        free(jobs);
        return error;
    }
    error = webhooks_new(jobs, &jobs->webhooks);
    if (error) {
        store_destroy(&jobs->store);
        free(jobs);
        return error;
    }
    jobs->queue = fair_queue_new(JOBS_WAITING_MAX);
    jobs->slots = slots_new();
    requests_init(jobs);
    dispatch_init(jobs);
    upkeep_init(jobs);
    operators_init(jobs);
    insight_init(jobs);
    jobs->reach = bus_reach_new(&(struct bus_reach_options){
        .loop = jobs->loop, .bus = jobs->bus, .ask = ask_database, .arg = jobs});
    service->state = jobs;
    return ERR_OK;
}

static const char *problem(struct service *service)
{
    const struct jobs *jobs = service->state;
    if (!bus_reach_is_there(jobs->reach))
        return "the database does not answer";
    return jobs->count_error == ERR_INTERNAL ? "the database has no tables: mcpbus migrate" : NULL;
}

static void drain(struct service *service)
{
    struct jobs *jobs = service->state;
    jobs->draining = true;
}

static bool drained(struct service *service)
{
    struct jobs *jobs = service->state;
    bool told = webhooks_drain(jobs->webhooks);
    store_stats_flush(jobs->store, true);
    return told && store_stats_flushed(jobs->store) && bus_active(jobs->bus) == 0 &&
           store_pending(jobs->store) == 0;
}

static void stop(struct service *service)
{
    struct jobs *jobs = service->state;
    if (!jobs)
        return;
    service->state = NULL;
    /* First: what is under way ends with an error, and its callbacks still find everything. */
    store_destroy(&jobs->store);
    webhooks_destroy(&jobs->webhooks);
    bus_reach_destroy(&jobs->reach);
    upkeep_fini(jobs);
    dispatch_fini(jobs);
    requests_fini(jobs);
    operators_fini(jobs);
    insight_fini(jobs);
    fair_queue_destroy(&jobs->queue);
    slots_destroy(&jobs->slots);
    free(jobs);
}

static const struct bus_method methods[] = {
    {"submit", jobs_submit},
    {"get", jobs_get},
    {"get_many", jobs_get_many},
    {"list", jobs_list},
    {"events", jobs_events},
    {"cancel", jobs_cancel},
    {"decide", jobs_decide},
    {"conversation", jobs_conversation},
    {"forget", jobs_forget},
    {"health", jobs_health},
    {"session_open", jobs_session_open},
    {"session_renew", jobs_session_renew},
    {"session_close", jobs_session_close},
    {"offer", jobs_offer},
    {"append", jobs_append},
    {"finish", jobs_finish},
    {"workers", jobs_workers},
    {"find", jobs_find},
    {"recent", jobs_recent},
    {"stats", jobs_stats},
    {"errors", jobs_errors},
    {"database", jobs_database},
};

int main(int argc, char **argv)
{
    static const char *const required[] = {"DATABASE_URL", NULL};
    static const struct service_def def = {
        .name = "jobs",
        .summary = "accepts jobs, gives them to workers and keeps what became of them",
        .methods = methods,
        .method_count = sizeof methods / sizeof *methods,
        SERVICE_SETTINGS,
        .required = required,
        .start = start,
        .problem = problem,
        .says_problem = true,
        .drain = drain,
        .drained = drained,
        .stop = stop,
        .drain_ms = 10000,
    };
    return service_main(&def, argc, argv);
}
