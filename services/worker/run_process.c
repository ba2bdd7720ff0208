/* A run's side of its process: the user's access, the start, and what the process says. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "libcommon/clock.h"
#include "services/worker/history.h"
#include "services/worker/runs_internal.h"

enum {
    CALL_TIMEOUT_MS = 20000,
    HISTORY_PAGE = 500,
    TURNS_MAX = 100,
    USER_TEXT_MAX = 1024,
    EVENT_BYTES_PAUSE = 256 << 10, /* unsent events at which the run has to wait */
    EVENTS_PAUSE = 128,
    EVENT_MAX = 256 << 10,
    ERROR_MAX = 16 << 10,
    PROGRESS_EVENTS_MAX = 4000, /* of the job's 10,000 events, so that a tool can't use them up */
};

/* What waits for its user's word. */
#define ASKING "waiting_approval"

static void on_model_answer(void *arg, const json_t *answer)
{
    struct worker_run *run = arg;
    run->model_call = NULL;
    run_trace_answer(&run->trace, run->job_id, answer);
    AUTOJSON json_t *frame = json_copy((json_t *)answer);
    json_object_set_new(frame, "t", json_string("answer"));
    if (run->peer && frame_peer_send(run->peer, frame))
        run_stop(run);
}

static void on_ask(struct worker_run *run, json_t *frame)
{
    if (run->model_call || !json_is_array(json_object_get(frame, "messages"))) {
        run_stop(run);
        return;
    }
    int64_t left = run->deadline - clock_ms();
    run->turn = js_int(frame, "turn", 0);
    run_trace_ask(&run->trace, frame, run->runs->options.settings->openai_model);
    run->model_call =
        model_ask(run->runs->options.model, frame, left < 1 ? 1 : left, on_model_answer, run);
}

static bool known_event(const char *type)
{
    static const char *const types[] = {"message", "tool_call", "tool_result", "progress", ASKING};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

static void on_event(struct worker_run *run, const json_t *frame)
{
    const char *type = js_str(frame, "type", "");
    json_t *data = json_object_get(frame, "data");
    size_t bytes = json_is_object(data) ? js_dump_size(data) : 0;
    if (!known_event(type) || !bytes || bytes > EVENT_MAX) {
        log_error("run_event_malformed", LOG_S("job_id", run->job_id),
                  RUN_TRACE_FIELDS(&run->trace), LOG_I("bytes", bytes));
        run_stop(run);
        return;
    }
    if ((strcmp(type, "progress") == 0 && run->last_event >= PROGRESS_EVENTS_MAX) || run->asked)
        return;
    run->asked = strcmp(type, ASKING) == 0;
    run_trace_event(&run->trace, run->job_id, type, data);
    run_note_usage(run, json_object_get(data, "usage"));
    if (!run->events)
        run->events = json_array();
    json_array_append_new(run->events, json_pack("{s:s, s:O}", "type", type, "data", data));
    run->event_bytes += bytes;
    run->ack_wanted = run->ack_wanted || js_bool(frame, "ack", false);
    if (run->event_bytes >= EVENT_BYTES_PAUSE || json_array_size(run->events) >= EVENTS_PAUSE)
        frame_peer_pause(run->peer, true);
    run_advance(run);
}

static void copy_text(json_t *to, const json_t *from, const char *key, size_t max)
{
    const json_t *text = json_object_get(from, key);
    if (json_is_string(text))
        json_object_set_new(to, key,
                            js_string_capped(json_string_value(text), json_string_length(text), max,
                                             "\n[cut: the text is longer]"));
}

static void on_done(struct worker_run *run, const json_t *frame)
{
    const char *outcome = js_str(frame, "outcome", "");
    bool waits = run->asked && strcmp(outcome, "waiting") == 0;
    if (strcmp(outcome, "completed") != 0 && strcmp(outcome, "retry") != 0 && !waits)
        outcome = "failed";
    json_t *item = json_pack("{s:s}", "outcome", outcome);
    copy_text(item, frame, "result", 512 << 10);
    copy_text(item, frame, "error_message", ERROR_MAX);
    json_t *usage = json_object_get(frame, "token_usage");
    if (json_is_object(usage))
        json_object_set(item, "token_usage", usage);
    run->done_at = clock_ms();
    run_end_item(run, item);
}

/* Under the key that the server had when it was handed over, whatever the frame says of it. */
static void on_remember(struct worker_run *run, const json_t *frame)
{
    const char *key = js_str(run->tool_keys, js_str(frame, "server", ""), NULL);
    if (key)
        tool_memory_put(run->runs->tools, key, run->user_id, frame, clock_ms());
}

/* When the process and its socket have both ended, what was said has been read. */
static void check_crash(struct worker_run *run, const char *why)
{
    if (run->outcome || run->silent || run->alive || run->peer)
        run_advance(run);
    else
        run_end(run, "retry", why);
}

static void on_frame(void *arg, json_t *frame)
{
    struct worker_run *run = arg;
    const char *t = js_str(frame, "t", "");
    run_trace_first_word(&run->trace);
    if (!frame) {
        frame_peer_destroy(&run->peer);
        if (run->alive && !run->outcome)
            run_stop(run); /* it speaks no more: a crash, or nonsense */
        check_crash(run, "The run ended unexpectedly.");
    } else if (run->outcome) {
        return;
    } else if (strcmp(t, "ask") == 0) {
        on_ask(run, frame);
    } else if (strcmp(t, "event") == 0) {
        on_event(run, frame);
    } else if (strcmp(t, "remember") == 0) {
        on_remember(run, frame);
    } else if (strcmp(t, "done") == 0) {
        on_done(run, frame);
    } else {
        run_stop(run);
    }
}

void run_process_ended(struct worker_run *run, enum zygote_end end, int status)
{
    char why[80];
    run->alive = false;
    if (run->killed_at)
        log_debug("run_killed", LOG_S("job_id", run->job_id), RUN_TRACE_FIELDS(&run->trace),
                  LOG_I("ms", clock_ms() - run->killed_at));
    if (end == ZYGOTE_RUN_EXPIRED) {
        /* The zygote may have heard of a renewal too late: then the store still counts on this
         * attempt, and would have it done again by one that knows nothing of its tool calls. When
         * the lease is over, nothing of this is sent. */
        run_stop(run);
        run_end(run, "released", NULL);
        run_advance(run);
        return;
    }
    if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "The run ended unexpectedly (signal %d).", WTERMSIG(status));
    else
        snprintf(why, sizeof why, "The run ended unexpectedly (status %d).", WEXITSTATUS(status));
    check_crash(run, why);
}

/* {name?, email?, time_zone?} */
static json_t *user_of(const struct worker_run *run, const json_t *access)
{
    static const char *const names[] = {"name", "email"};
    json_t *user = json_object(), *zone = json_object_get(run->options, "time_zone");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        copy_text(user, access, names[i], USER_TEXT_MAX);
    if (json_is_string(zone))
        json_object_set(user, "time_zone", zone);
    return user;
}

static void set_known(json_t *frame, const char *key, json_t *value)
{
    if (value)
        json_object_set(frame, key, value);
}

static void add_http(json_t *frame, const struct settings *settings)
{
    json_t *http = json_object();
    if (settings->https_proxy)
        json_object_set_new(http, "proxy", json_string(settings->https_proxy));
    if (settings->no_proxy)
        json_object_set_new(http, "no_proxy", json_string(settings->no_proxy));
    if (settings->ca_bundle)
        json_object_set_new(http, "ca_bundle", json_string(settings->ca_bundle));
    json_object_set_new(frame, "http", http);
}

/* `access` is what auth said of the user; NULL: it was not asked, or there is none. */
static json_t *job_frame(const struct worker_run *run, const struct mcp_user *user,
                         const json_t *access, const char *why_no_google)
{
    const struct runs_options *options = &run->runs->options;
    int64_t left = run->deadline - clock_ms(), soft = run->time_ms * 5 / 6;
    json_t *servers = mcp_config_servers(options->config, user, why_no_google, options->lookup,
                                         options->lookup_arg);
    json_t *frame =
        json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:o}", "t", "job", "job_id",
                  run->job_id, "message", run->message, "servers", servers, "max_turns",
                  (json_int_t)options->settings->max_turns, "tool_timeout_ms",
                  (json_int_t)options->settings->tool_timeout * 1000, "tool_processes",
                  (json_int_t)options->settings->tool_processes, "tool_memory",
                  (json_int_t)options->settings->tool_memory << 20, "soft_ms",
                  (json_int_t)(soft < left ? soft : left), "user", user_of(run, access));
    set_known(frame, "settings", options->agent);
    set_known(frame, "options", run->options);
    set_known(frame, "conversation", run->turns);
    set_known(frame, "usage", run->usage);
    set_known(frame, "history", run->history);
    json_t *trace = run_trace_job(&run->trace);
    if (trace)
        json_object_set_new(frame, "trace", trace);
    json_object_set_new(frame, "known",
                        tool_memory_known(run->runs->tools, servers, run->user_id, clock_ms()));
    add_http(frame, options->settings);
    return frame;
}

static json_t *keys_of(const json_t *servers)
{
    json_t *keys = json_object(), *server;
    size_t index;
    json_array_foreach(servers, index, server)
        set_known(keys, js_str(server, "name", ""), json_object_get(server, "key"));
    return keys;
}

static void start_process(struct worker_run *run, const struct mcp_user *user, const json_t *access,
                          const char *why_no_google)
{
    int ends[2];
    run->state = RUN_RUNNING;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        log_error("socketpair", LOG_S("error", strerror(errno)));
        run_end(run, "retry", "The worker has no descriptors left.");
        return;
    }
    run->alive = true;
    run->trace.forked_us = metric_now_us();
    run->peer = frame_peer_new(run->runs->options.loop, ends[0], on_frame, run);
    zygote_start(run->runs->options.zygote, run->id, ends[1]);
    AUTOJSON json_t *frame = job_frame(run, user, access, why_no_google);
    run->tool_keys = keys_of(json_object_get(frame, "servers"));
    if (frame_peer_send(run->peer, frame)) {
        run_stop(run);
        run_end(run, "failed", "The task is too large for a run.");
        return;
    }
    log_info("run_started", LOG_S("job_id", run->job_id), RUN_TRACE_FIELDS(&run->trace),
             LOG_I("attempt", run->attempt));
}

static void start_with_access(struct worker_run *run, const json_t *access)
{
    char expires[24];
    json_t *scopes = json_object_get(access, "scopes");
    AUTOFREE char *scopes_text = js_dump(scopes);
    snprintf(expires, sizeof expires, "%lld", (long long)js_int(access, "expires_at_ms", 0));
    struct mcp_user user = {
        .google_access_token = js_str(access, "access_token", ""),
        .google_refresh_token = js_str(access, "refresh_token", ""),
        .google_token_expires_at = expires,
        .google_authorized_scopes = scopes_text,
        .email = js_str(access, "email", ""),
        .id = run->user_id,
    };
    start_process(run, &user, access, "");
}

static void on_access(void *arg, const struct bus_answer *answer)
{
    struct worker_run *run = arg;
    run->call = 0;
    if (!answer->error) {
        start_with_access(run, answer->result);
    } else if (answer->error == ERR_NOT_FOUND || answer->error == ERR_UNAUTHENTICATED) {
        struct mcp_user user = {.id = run->user_id};
        start_process(run, &user, NULL,
                      "the user's Google access has ended; they have to sign in again");
    } else {
        log_warning("access_failed", LOG_S("job_id", run->job_id), RUN_TRACE_FIELDS(&run->trace),
                    LOG_S("error", answer->detail));
        run_end(run, "retry", "The user's Google access could not be read.");
    }
}

static void ask_access(struct worker_run *run)
{
    const struct runs_options *options = &run->runs->options;
    if (!mcp_config_needs_google(options->config)) {
        struct mcp_user user = {.id = run->user_id};
        start_process(run, &user, NULL, "");
        return;
    }
    struct bus_request request = {
        .method = "auth.google_access",
        .args = json_pack("{s:s, s:s}", "user_id", run->user_id, "job_id", run->job_id),
        .timeout_ms = CALL_TIMEOUT_MS,
        .idempotent = true,
        .trace = &run->trace.span.trace,
        .request_id = run->trace.request_id,
    };
    run->call = bus_call(options->bus, request, on_access, run);
}

static void on_turns(void *arg, const struct bus_answer *answer)
{
    struct worker_run *run = arg;
    run->call = 0;
    if (answer->error) {
        log_warning("conversation_failed", LOG_S("job_id", run->job_id),
                    RUN_TRACE_FIELDS(&run->trace), LOG_S("error", answer->detail));
        run_end(run, "retry", "The conversation's earlier turns could not be read.");
        return;
    }
    run->turns = json_incref(json_object_get(answer->result, "turns"));
    ask_access(run);
}

static void ask_turns(struct worker_run *run)
{
    if (!run->conversation_id) {
        ask_access(run);
        return;
    }
    struct bus_request request = {
        .method = "jobs.conversation",
        .args = json_pack("{s:s, s:s, s:s, s:i}", "user_id", run->user_id, "conversation_id",
                          run->conversation_id, "before", run->job_id, "limit", TURNS_MAX),
        .timeout_ms = CALL_TIMEOUT_MS,
        .idempotent = true,
        .trace = &run->trace.span.trace,
        .request_id = run->trace.request_id,
    };
    run->call = bus_call(run->runs->options.bus, request, on_turns, run);
}

static void ask_history(struct worker_run *run);

static void on_history(void *arg, const struct bus_answer *answer)
{
    struct worker_run *run = arg;
    run->call = 0;
    if (answer->error == ERR_DENIED) {
        /* A bus that keeps workers from events: going on is better than never ending. */
        log_error("history_denied", LOG_S("job_id", run->job_id), RUN_TRACE_FIELDS(&run->trace));
        ask_turns(run);
        return;
    }
    if (answer->error) {
        log_warning("history_failed", LOG_S("job_id", run->job_id), RUN_TRACE_FIELDS(&run->trace),
                    LOG_S("error", answer->detail));
        run_end(run, "retry", "What an earlier attempt had done could not be read.");
        return;
    }
    json_t *events = json_object_get(answer->result, "events"), *event;
    int64_t before = run->history_after;
    size_t index;
    json_array_foreach(events, index, event)
    {
        history_add(run->history, event);
        run_note_usage(run, json_object_get(json_object_get(event, "data"), "usage"));
        run->history_after = js_int(event, "seq", run->history_after);
    }
    if (run->history_after > before && run->history_after < run->last_event)
        ask_history(run);
    else
        ask_turns(run);
}

/* A later attempt must know which tool calls were made before it. */
static void ask_history(struct worker_run *run)
{
    struct bus_request request = {
        .method = "jobs.events",
        .args = json_pack("{s:s, s:s, s:I, s:i}", "job_id", run->job_id, "user_id", run->user_id,
                          "after", (json_int_t)run->history_after, "limit", HISTORY_PAGE),
        .timeout_ms = CALL_TIMEOUT_MS,
        .idempotent = true,
        .trace = &run->trace.span.trace,
        .request_id = run->trace.request_id,
    };
    run->call = bus_call(run->runs->options.bus, request, on_history, run);
}

void run_process_begin(struct worker_run *run)
{
    run->state = RUN_STARTING;
    if (run->attempt > 1 && run->last_event > 0) {
        run->history = json_array();
        ask_history(run);
    } else {
        ask_turns(run);
    }
}
