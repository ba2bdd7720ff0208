#include "services/worker/runs.h"

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/clock.h"
#include "services/worker/echo.h"
#include "services/worker/runs_internal.h"

enum {
    WAITING_MAX = 1024,
    SWEEP_MS = 250,
    LINGER_MS = 5000, /* for a run's process after its "done" */
    BACKLOG_FACTOR = 4,
    WAIT_SHARE = 4, /* of a run's time: what it may wait for a slot */
    JOB_ID_MAX = 256,
    RETRY_TEXT_MAX = 1024,
};

static void destroy_run(struct worker_run *run)
{
    partial_run_destroy(&run->partial);
    frame_peer_destroy(&run->peer);
    model_cancel(&run->model_call);
    if (run->call)
        bus_cancel(run->runs->options.bus, run->call);
    json_decref(run->events);
    json_decref(run->history);
    json_decref(run->outcome);
    json_decref(run->options);
    json_decref(run->turns);
    json_decref(run->usage);
    json_decref(run->tool_keys);
    run_trace_fini(&run->trace);
    free(run->conversation_id);
    free(run->job_id);
    free(run->user_id);
    free(run->message);
    free(run);
}

static void start_waiting(struct runs *runs)
{
    struct worker_run *run, *oldest = NULL;
    size_t at = 0;
    if (runs->working >= (size_t)runs->options.settings->worker_concurrency)
        return;
    while ((run = run_table_next(runs->table, &at)))
        if (run->state == RUN_WAITING && !run->outcome && !run->silent &&
            (!oldest || run->id < oldest->id))
            oldest = run;
    if (!oldest)
        return;
    runs->working++;
    run_process_begin(oldest);
}

static void remove_run(struct worker_run *run)
{
    struct runs *runs = run->runs;
    run_table_take(runs->table, run->job_id, run->attempt, run->finished);
    map_take(runs->by_id, &run->id, sizeof run->id);
    bool worked = run->state != RUN_WAITING;
    if (run->finishing && !run->finished)
        runs->finishing--;
    destroy_run(run);
    if (worked) {
        runs->working--;
        if (run_table_count(runs->table) > runs->working)
            start_waiting(runs);
    }
    runs->options.slots_changed(runs->options.arg);
}

static void send_events(struct worker_run *run)
{
    json_t *item = json_pack("{s:s, s:I, s:I, s:O}", "job_id", run->job_id, "attempt",
                             (json_int_t)run->attempt, "after", (json_int_t)run->last_event,
                             "events", run->events);
    run->appending = json_array_size(run->events);
    json_decref(run->events);
    run->events = NULL;
    run->event_bytes = 0;
    outbox_add(run->runs->append, run->from, run->id, item);
    if (run->peer)
        frame_peer_pause(run->peer, false);
}

void run_advance(struct worker_run *run)
{
    if (run->silent) {
        if (!run->alive)
            remove_run(run);
        return;
    }
    if (json_array_size(run->events) && !run->appending)
        send_events(run);
    if (run->outcome && !run->finishing && !run->appending && !(run->killed && run->alive)) {
        run->finishing = true;
        run->runs->finishing++;
        outbox_add(run->runs->finish, run->from, run->id, json_incref(run->outcome));
    }
    if (run->finished && !run->alive)
        remove_run(run);
}

void run_note_usage(struct worker_run *run, json_t *usage)
{
    if (!json_is_object(usage) ||
        js_int(usage, "total_tokens", 0) < js_int(run->usage, "total_tokens", 0))
        return;
    json_incref(usage);
    json_decref(run->usage);
    run->usage = usage;
}

/* Of an attempt that is tried again, its outcome keeps no reason: this does. The echo runner's jobs
 * have no events but those of the store. */
static void tell_retry(struct worker_run *run, const json_t *item)
{
    const char *why = js_str(item, "error_message", "");
    if (strcmp(js_str(item, "outcome", ""), "retry") != 0 || !*why || run->asked ||
        !run->runs->options.zygote)
        return;
    if (!run->events)
        run->events = json_array();
    json_array_append_new(
        run->events, json_pack("{s:s, s:{s:o, s:s, s:I}}", "type", "progress", "data", "message",
                               js_string_capped(why, strlen(why), RETRY_TEXT_MAX, "…"), "level",
                               "warning", "attempt", (json_int_t)run->attempt));
}

void run_end_item(struct worker_run *run, json_t *item)
{
    if (run->outcome || run->silent) {
        json_decref(item);
        return;
    }
    tell_retry(run, item);
    json_object_set_new(item, "job_id", json_string(run->job_id));
    json_object_set_new(item, "attempt", json_integer(run->attempt));
    if (run->state == RUN_RUNNING && run->runs->options.config)
        json_object_set_new(item, "env_names", mcp_config_env_names(run->runs->options.config));
    if (run->usage && !json_object_get(item, "token_usage"))
        json_object_set(item, "token_usage", run->usage);
    if (run->trace.request_id && log_enabled(LOG_LEVEL_DEBUG))
        json_object_set_new(item, "request_id", json_string(run->trace.request_id));
    run->outcome = item;
    run_trace_end(&run->trace, run->job_id, run->attempt, js_str(item, "outcome", ""));
    /* The echo runner measures the bus; a line for each run would measure the log. */
    LOG_AT(run->runs->options.zygote ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "run_ended",
           LOG_S("job_id", run->job_id), RUN_TRACE_FIELDS(&run->trace),
           LOG_I("attempt", run->attempt), LOG_S("outcome", js_str(item, "outcome", "")),
           LOG_S("why", js_str(item, "error_message", "")));
    run_advance(run);
}

void run_end(struct worker_run *run, const char *outcome, const char *error)
{
    json_t *item = json_pack("{s:s}", "outcome", outcome);
    if (error)
        json_object_set_new(item, "error_message",
                            js_string_capped(error, strlen(error), 4096, "…"));
    run_end_item(run, item);
}

void run_stop(struct worker_run *run)
{
    model_cancel(&run->model_call);
    if (run->call)
        bus_cancel(run->runs->options.bus, run->call);
    run->call = 0;
    frame_peer_destroy(&run->peer);
    if (run->alive && !run->killed) {
        run->killed_at = clock_ms();
        zygote_kill(run->runs->options.zygote, run->id);
    }
    run->killed = true;
}

static void silence(struct worker_run *run)
{
    run->silent = true;
    if (!run->outcome)
        run_trace_end(&run->trace, run->job_id, run->attempt, "taken");
    run_stop(run);
    run_advance(run);
}

static struct worker_run *by_id(const struct runs *runs, uint64_t id)
{
    return map_get(runs->by_id, &id, sizeof id);
}

static void on_appended(void *arg, uint64_t id, enum err error, const json_t *result)
{
    struct worker_run *run = by_id(arg, id);
    if (!run || run->silent)
        return;
    int64_t sent = (int64_t)run->appending;
    run->appending = 0;
    if (error == ERR_STALE_TOKEN || error == ERR_NOT_FOUND) {
        silence(run);
        return;
    }
    if (error) {
        log_error("events_refused", LOG_S("job_id", run->job_id), RUN_TRACE_FIELDS(&run->trace),
                  LOG_S("error", err_name(error)));
        run_stop(run);
        run_end(run, "failed", "The run's events could not be recorded.");
        return;
    }
    run->last_event = js_int(result, "last", run->last_event + sent);
    if (run->ack_wanted && !json_array_size(run->events) && run->peer) {
        AUTOJSON json_t *ack =
            json_pack("{s:s, s:I}", "t", "ack", "until", (json_int_t)run->runs->lease_until);
        run->ack_wanted = false;
        if (frame_peer_send(run->peer, ack))
            run_stop(run);
    }
    run_advance(run);
}

static void on_finished(void *arg, uint64_t id, enum err error, const json_t *result)
{
    struct worker_run *run = by_id(arg, id);
    (void)result;
    if (!run || run->silent)
        return;
    const char *outcome = js_str(run->outcome, "outcome", "");
    if ((error == ERR_TOO_LARGE || error == ERR_INVALID) && strcmp(outcome, "failed") != 0) {
        /* A replica of an older version knows nothing of waiting; another may. */
        bool waits = strcmp(outcome, "waiting") == 0;
        json_decref(run->outcome);
        run->outcome = NULL;
        run->finishing = false;
        run->runs->finishing--;
        run_end(run, waits ? "retry" : "failed",
                waits ? "That the run waits for approval could not be recorded."
                      : "The result could not be recorded.");
        return;
    }
    if (error && error != ERR_STALE_TOKEN)
        log_error("outcome_refused", LOG_S("job_id", run->job_id), RUN_TRACE_FIELDS(&run->trace),
                  LOG_S("error", err_name(error)));
    run->finished = true;
    run->runs->finishing--;
    run_advance(run);
}

static json_t *append_envelope(void *arg, uint64_t instance)
{
    struct runs *runs = arg;
    return runs->options.envelope(runs->options.arg, instance, false);
}

static json_t *finish_envelope(void *arg, uint64_t instance)
{
    struct runs *runs = arg;
    return runs->options.envelope(runs->options.arg, instance, true);
}

/* Replicas that share the last slot may each send a run. Given back in time, it doesn't lose its
 * own time to another's hours, and a worker with a free slot can have it. */
static bool waits_too_long(const struct worker_run *run, int64_t now)
{
    return run->state == RUN_WAITING && !run->outcome &&
           now >= run->taken_at + run->time_ms / WAIT_SHARE;
}

/* What never began has done nothing that forbids another attempt. */
static void end_late(struct worker_run *run)
{
    bool began = run->state == RUN_RUNNING;
    AUTOFREE char *why = mem_printf(began ? "The run was stopped after %lld seconds."
                                          : "The run could not begin within %lld seconds.",
                                    (long long)run->time_ms / 1000);
    run_stop(run);
    run_end(run, began ? "failed" : "retry", why);
}

/* Deadlines; what lingers after it is done. */
static void on_sweep(void *arg)
{
    struct runs *runs = arg;
    struct worker_run *run;
    int64_t now = clock_ms();
    size_t at = 0;
    while ((run = run_table_next(runs->table, &at))) {
        if (run->silent)
            continue;
        if (run->done_at && run->alive && !run->killed && now >= run->done_at + LINGER_MS)
            run_stop(run);
        if (waits_too_long(run, now))
            run_end(run, "released", NULL);
        else if (!run->outcome && now >= run->deadline)
            end_late(run);
    }
    loop_timer_start(runs->sweep, SWEEP_MS);
}

static void on_process_ended(void *arg, uint64_t id, enum zygote_end end, int status)
{
    struct worker_run *run = by_id(arg, id);
    if (run)
        run_process_ended(run, end, status);
}

/* Nothing of it lives, and nothing can be started any more. */
static void on_zygote_lost(void *arg)
{
    struct runs *runs = arg;
    struct worker_run *run;
    size_t at = 0;
    log_error("zygote_lost");
    while ((run = run_table_next(runs->table, &at)))
        run->alive = false;
    runs->released = true;
    runs_kill_all(runs);
    runs->options.broken(runs->options.arg);
}

struct runs *runs_new(const struct runs_options *options)
{
    struct runs *runs = mem_alloc(sizeof *runs);
    runs->options = *options;
    runs->table = run_table_new();
    runs->by_id = map_new();
    runs->tools = tool_memory_new();
    runs->partials = run_partials_new(runs);
    runs->next_id = 1;
    struct outbox_options append = {options->loop,   options->bus, "append",
                                    append_envelope, on_appended,  runs};
    struct outbox_options finish = {options->loop,   options->bus, "finish",
                                    finish_envelope, on_finished,  runs};
    runs->append = outbox_new(&append);
    runs->finish = outbox_new(&finish);
    runs->sweep = loop_timer_new(options->loop, on_sweep, runs);
    loop_timer_start(runs->sweep, SWEEP_MS);
    if (options->zygote) {
        struct zygote_events events = {on_process_ended, on_zygote_lost, runs};
        zygote_attach(options->zygote, options->loop, &events);
    }
    return runs;
}

void runs_destroy(struct runs **runs_p)
{
    struct runs *runs = *runs_p;
    struct worker_run *run;
    size_t at = 0;
    if (!runs)
        return;
    *runs_p = NULL;
    while ((run = run_table_next(runs->table, &at)))
        destroy_run(run);
    outbox_destroy(&runs->append);
    outbox_destroy(&runs->finish);
    loop_timer_destroy(&runs->sweep);
    partials_destroy(&runs->partials);
    run_table_destroy(&runs->table);
    tool_memory_destroy(&runs->tools);
    map_destroy(&runs->by_id);
    free(runs);
}

static struct worker_run *make_run(struct runs *runs, uint64_t from, const json_t *json)
{
    struct worker_run *run = mem_alloc(sizeof *run);
    int64_t limit = runs->options.settings->job_timeout * 1000;
    int64_t time_ms = js_int(json, "time_ms", limit);
    run->runs = runs;
    run->id = runs->next_id++;
    run->job_id = mem_strdup(js_str(json, "job_id", ""));
    run->user_id = mem_strdup(js_str(json, "user_id", ""));
    run->message = mem_strdup(js_str(json, "message", ""));
    run->attempt = js_int(json, "attempt", 0);
    run->from = from;
    run->taken_at = clock_ms();
    run->time_ms = time_ms > 0 && time_ms < limit ? time_ms : limit;
    run->deadline = run->taken_at + run->time_ms;
    run->last_event = js_int(json, "events", 0);
    run->options = json_incref(json_object_get(json, "options"));
    run->conversation_id = mem_strdup_opt(js_str(json, "conversation_id", NULL));
    run_note_usage(run, json_object_get(json, "usage"));
    run_trace_begin(&run->trace, json);
    return run;
}

/* A run that was told before. When the store misses it here though it has ended, its outcome is not
 * on record: it gets one, or its job would stay running until its deadline. One that is on record
 * after all is kept by the fence. */
static void take_again(struct runs *runs, uint64_t from, const char *job_id, int64_t attempt,
                       bool missed)
{
    if (!missed || run_table_get(runs->table, job_id, attempt))
        return;
    log_warning("run_without_outcome", LOG_S("job_id", job_id), LOG_I("attempt", attempt));
    outbox_add(runs->finish, from, 0,
               json_pack("{s:s, s:I, s:s, s:s}", "job_id", job_id, "attempt", (json_int_t)attempt,
                         "outcome", "retry", "error_message",
                         "What became of the run could not be recorded."));
}

void runs_take(struct runs *runs, uint64_t from, json_t *json)
{
    const char *job_id = js_str(json, "job_id", "");
    int64_t attempt = js_int(json, "attempt", 0);
    if (!*job_id || strlen(job_id) > JOB_ID_MAX || runs->released)
        return;
    if (run_table_knows(runs->table, job_id, attempt)) {
        take_again(runs, from, job_id, attempt, js_int(json, "ordinal", 0) == 0);
        return;
    }
    size_t capacity = (size_t)runs->options.settings->worker_concurrency;
    if (run_table_count(runs->table) - runs->finishing >= capacity + WAITING_MAX)
        return; /* the next renewal's answer names it, and it is sent again */
    struct worker_run *run = make_run(runs, from, json);
    run_table_put(runs->table, run->job_id, run->attempt, run);
    map_put(runs->by_id, &run->id, sizeof run->id, run);
    if (!runs->options.zygote) {
        run->state = RUN_RUNNING;
        runs->working++;
        run_end_item(run, echo_run(run->message));
    } else {
        start_waiting(runs);
    }
    runs->options.slots_changed(runs->options.arg);
}

void runs_kill(struct runs *runs, const char *job_id, int64_t attempt)
{
    struct worker_run *run = run_table_get(runs->table, job_id, attempt);
    if (*job_id && strlen(job_id) <= JOB_ID_MAX) /* this may have overtaken the run itself */
        run_table_remember(runs->table, job_id, attempt);
    if (!run || run->silent)
        return;
    log_info("run_taken_away", LOG_S("job_id", job_id), RUN_TRACE_FIELDS(&run->trace),
             LOG_I("attempt", attempt));
    silence(run);
}

void runs_kill_all(struct runs *runs)
{
    struct worker_run *run;
    size_t at = 0;
    outbox_clear(runs->append);
    outbox_clear(runs->finish);
    while ((run = run_table_next(runs->table, &at)))
        run->silent = true; /* first all: the end of one may start no other */
    at = 0;
    while ((run = run_table_next(runs->table, &at)))
        silence(run);
}

void runs_release(struct runs *runs, bool running)
{
    struct worker_run *run;
    size_t at = 0;
    runs->released = true;
    while ((run = run_table_next(runs->table, &at))) {
        if (run->outcome || run->silent || (run->state == RUN_RUNNING && !running))
            continue;
        run_stop(run);
        run_end(run, "released", NULL);
    }
}

void runs_leased(struct runs *runs, int64_t until)
{
    runs->lease_until = until;
}

json_t *runs_held(const struct runs *runs)
{
    struct worker_run *run;
    json_t *held = json_array();
    size_t at = 0;
    while ((run = run_table_next(runs->table, &at)))
        if (!run->silent)
            json_array_append_new(held, json_pack("{s:s, s:I}", "job_id", run->job_id, "attempt",
                                                  (json_int_t)run->attempt));
    return held;
}

void runs_reconcile(struct runs *runs, const json_t *held, int64_t sent_at)
{
    struct run_table *listed = run_table_new();
    struct worker_run *run;
    size_t index, at = 0;
    json_t *item;
    json_array_foreach(held, index, item)
        run_table_put(listed, js_str(item, "job_id", ""), js_int(item, "attempt", 0), runs);
    while ((run = run_table_next(runs->table, &at)))
        if (run->taken_at < sent_at && !run->finishing && !run->silent &&
            !run_table_get(listed, run->job_id, run->attempt)) {
            log_warning("run_not_ours", LOG_S("job_id", run->job_id), RUN_TRACE_FIELDS(&run->trace),
                        LOG_I("attempt", run->attempt));
            silence(run);
        }
    run_table_destroy(&listed);
}

/* What is only waiting for its outcome to be recorded takes no slot, unless too much does. */
unsigned runs_free_slots(const struct runs *runs)
{
    size_t capacity = (size_t)runs->options.settings->worker_concurrency;
    size_t taken = run_table_count(runs->table) - runs->finishing;
    if (runs->released || taken >= capacity || runs->finishing > capacity * BACKLOG_FACTOR)
        return 0;
    return (unsigned)(capacity - taken);
}

size_t runs_count(const struct runs *runs)
{
    return run_table_count(runs->table);
}

struct runs_load runs_load(const struct runs *runs)
{
    struct runs_load load = {.working = runs->working, .finishing = runs->finishing};
    const struct worker_run *run;
    size_t at = 0;
    while ((run = run_table_next(runs->table, &at)))
        load.waiting += run->state == RUN_WAITING && !run->outcome;
    return load;
}
