/* Once a second: jobs of dead workers, counts, and now and then old rows. Each scan of the store
 * waits ten times what the last one took, so that a long queue slows none of the jobs. */
#include <stdio.h>
#include <string.h>

#include "libcommon/log.h"
#include "libcommon/metrics.h"
#include "services/jobs/jobs.h"

enum {
    PERIOD_MS = 250,
    START_PERIOD_MS = 5, /* until the database has answered: /health waits for that */
    REAP_MS = 1000,
    COUNT_MS = 1000,
    PING_MS = 1000,
    SHARE = 10,
    /* What waited for a database that was away says nothing of its cost. */
    PAUSE_MAX_MS = 5000,
    SAY_AGAIN_MS = 5000,
    SWEEP_FIRST_MS = 5 * 1000,
    /* A fifth of its connection's time: half a thousand jobs in a few milliseconds each time. */
    SWEEP_SHARE = 4,
    SWEEP_PAUSE_MS = 10,
    SWEEP_LOOK_MS = 10 * 1000,
    REAP_BATCH = 1000,
};

static int64_t pause_after(const struct jobs *jobs, int64_t began, int64_t least)
{
    int64_t pause = SHARE * (loop_now(jobs->loop) - began);
    if (pause > PAUSE_MAX_MS)
        pause = PAUSE_MAX_MS;
    return loop_now(jobs->loop) + (pause > least ? pause : least);
}

static struct metric *reaped(void)
{
    return metric_counter("mcpbus_jobs_reaped_total", NULL,
                          "Attempts lost with their worker, or timed out.");
}

static void on_reaped(void *arg, enum err error, const struct store_change *changes, size_t count)
{
    struct jobs *jobs = arg;
    jobs->reaping = false;
    jobs->reap_next = count >= REAP_BATCH ? 0 : pause_after(jobs, jobs->reap_began, REAP_MS);
    if (error || !count)
        return;
    size_t ended = 0;
    for (size_t i = 0; i < count; i++)
        ended += changes[i].ended;
    log_warning("runs_taken_back", LOG_I("queued_again", count - ended), LOG_I("failed", ended));
    metric_add(reaped(), (int64_t)count);
    dispatch_changes(jobs, changes, count);
}

static void on_counted(void *arg, enum err error, int64_t queued, int64_t running)
{
    struct jobs *jobs = arg;
    jobs->counting = false;
    jobs->count_next = pause_after(jobs, jobs->count_began, COUNT_MS);
    if (error == ERR_INTERNAL && jobs->count_error != error)
        log_error("no_tables", LOG_S("hint", "run mcpbus migrate"));
    jobs->count_error = error;
    if (error)
        return;
    jobs->queued = queued;
    jobs->running = running;
    store_stats_depth(jobs->store, queued, running);
    metric_set(metric_gauge("mcpbus_jobs_queued", NULL, "Jobs waiting."), queued);
    metric_set(metric_gauge("mcpbus_jobs_running", NULL, "Jobs running."), running);
}

static void on_pong(void *arg, enum err error)
{
    struct jobs *jobs = arg;
    jobs->pinging = false;
    if (!error)
        jobs->answered_at = loop_now(jobs->loop);
}

static void ping(struct jobs *jobs, int64_t now)
{
    if (jobs->pinging || now < jobs->ping_next)
        return;
    jobs->pinging = true;
    jobs->ping_next = now + PING_MS;
    store_ping(jobs->store, on_pong, jobs);
}

static void on_swept(void *arg, enum err error, const struct store_swept *swept)
{
    struct jobs *jobs = arg;
    int64_t now = loop_now(jobs->loop), wait = error ? SWEEP_LOOK_MS : swept->wait_ms;
    bool over = wait >= SWEEP_LOOK_MS;
    if (swept->jobs + swept->others > 0)
        jobs->sweep_pause = SWEEP_SHARE * (now - jobs->sweep_began);
    jobs->swept += swept->jobs;
    metric_add(metric_counter("mcpbus_jobs_swept_total", NULL,
                              "Jobs deleted for their age, by this replica."),
               swept->jobs);
    if (jobs->swept && over) {
        log_info("old_jobs_deleted", LOG_I("count", jobs->swept));
        jobs->swept = 0;
    }
    if (over)
        wait = SWEEP_LOOK_MS;
    else if (wait < SWEEP_PAUSE_MS)
        wait = SWEEP_PAUSE_MS;
    loop_timer_start(jobs->sweep_timer, wait);
}

/* In a turn of the replicas; the pause is counted from the beginning of this one. */
static void on_sweep(void *arg)
{
    struct jobs *jobs = arg;
    if (jobs->draining || !store_ready(jobs->store)) {
        loop_timer_start(jobs->sweep_timer, REAP_MS);
        return;
    }
    jobs->sweep_began = loop_now(jobs->loop);
    store_sweep(jobs->store, jobs->settings->job_retention_days,
                SWEEP_PAUSE_MS + jobs->sweep_pause * (SWEEP_SHARE + 1) / SWEEP_SHARE, on_swept,
                jobs);
}

/* A reason that changes is told as well, but not each time that the turn is another host's. */
static void say_away(struct jobs *jobs)
{
    const char *why = store_problem(jobs->store);
    int64_t now = loop_now(jobs->loop);
    bool same = !strncmp(jobs->said, why, sizeof jobs->said - 1);
    if (!jobs->was_ready && (same || now < jobs->said_at + SAY_AGAIN_MS))
        return;
    log_error("database_away", LOG_S("why", why));
    snprintf(jobs->said, sizeof jobs->said, "%s", why);
    jobs->said_at = now;
}

static void say_state(struct jobs *jobs)
{
    bool ready = store_ready(jobs->store);
    if (!ready)
        say_away(jobs);
    else if (!jobs->was_ready)
        log_info("database_connected");
    jobs->was_ready = ready;
}

static void work(struct jobs *jobs, int64_t now)
{
    if (!jobs->reaping && now >= jobs->reap_next) {
        jobs->reaping = true;
        jobs->reap_began = now;
        store_reap(jobs->store, on_reaped, jobs);
    }
    if (!jobs->counting && now >= jobs->count_next) {
        jobs->counting = true;
        jobs->count_began = now;
        store_counts(jobs->store, on_counted, jobs);
    }
}

static void on_upkeep(void *arg)
{
    struct jobs *jobs = arg;
    int64_t now = loop_now(jobs->loop);
    say_state(jobs);
    slots_expire(jobs->slots, now);
    metric_set(metric_gauge("mcpbus_jobs_waiting_here", NULL, "Waiting jobs in this memory."),
               (int64_t)fair_queue_count(jobs->queue));
    if (store_ready(jobs->store))
        ping(jobs, now);
    if (store_ready(jobs->store) && !jobs->draining)
        work(jobs, now);
    store_stats_flush(jobs->store, false);
    loop_timer_start(jobs->upkeep_timer, jobs->answered_at ? PERIOD_MS : START_PERIOD_MS);
}

void upkeep_init(struct jobs *jobs)
{
    metric_add(reaped(), 0); /* it is there before it counts */
    jobs->sweep_timer = loop_timer_new(jobs->loop, on_sweep, jobs);
    loop_timer_start(jobs->sweep_timer, SWEEP_FIRST_MS);
    jobs->upkeep_timer = loop_timer_new(jobs->loop, on_upkeep, jobs);
    loop_timer_start(jobs->upkeep_timer, START_PERIOD_MS);
}

void upkeep_fini(struct jobs *jobs)
{
    loop_timer_destroy(&jobs->upkeep_timer);
    loop_timer_destroy(&jobs->sweep_timer);
}
