#include "services/cli/follow.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/lookup.h"

enum {
    POLL_MIN_MS = 50,
    POLL_MAX_MS = 1000,
    TICK_MS = 100,
    EVENTS_AT_ONCE = 500,
    AWAY_MS = 60000, /* as long as nobody answers, the job may still go on */
    SECOND_MS = 3000,
    LINE_BYTES = 4096,
    LINE_COLUMNS = 200,
};

static enum paint paint_of(const char *type, const json_t *data)
{
    const char *status = js_str(data, "status", "");
    if (!strcmp(status, "failed") || !strcmp(status, "cancelled"))
        return PAINT_BAD;
    if (!strcmp(status, "completed") || !strcmp(type, "message"))
        return PAINT_GOOD;
    if (!strcmp(type, "waiting_approval"))
        return PAINT_WARN;
    return PAINT_DIM;
}

/* "name=drive_read  arguments={…}": what is not for accounts. */
static void describe(struct buf *line, const json_t *data)
{
    struct buf text;
    const char *key;
    json_t *value;
    buf_init(&text, (size_t)2 * 1024 * 1024);
    json_object_foreach((json_t *)data, key, value)
    {
        if (!strcmp(key, "usage") || !strcmp(key, "turn") || !strcmp(key, "timestamp"))
            continue;
        buf_printf(&text, "%s%s=", text.len ? "  " : "", key);
        if (json_is_string(value))
            buf_add_str(&text, json_string_value(value));
        else
            js_dump_buf(value, &text);
    }
    output_clean(line, buf_text(&text), LINE_COLUMNS);
    buf_fini(&text);
}

static void print_event(const struct follow *follow, const json_t *event)
{
    const char *type = js_str(event, "type", "");
    const json_t *data = json_object_get(event, "data");
    struct buf line, name;
    if (follow->json) {
        AUTOFREE char *text = js_dump(event);
        fprintf(follow->events, "%s\n", text);
        fflush(follow->events);
        return;
    }
    buf_init(&line, LINE_BYTES);
    buf_init(&name, LINE_BYTES);
    output_clean(&name, type, 32);
    describe(&line, data);
    fprintf(follow->events, "%5lld  %s%-16s%s  %s\n", (long long)js_int(event, "seq", 0),
            output_paint(follow->events, paint_of(type, data)), buf_text(&name),
            output_paint(follow->events, PAINT_PLAIN), buf_text(&line));
    fflush(follow->events);
    buf_fini(&line);
    buf_fini(&name);
}

/* What the job does, after its last event. */
static void note(const json_t *event, char *ret_doing, size_t size)
{
    const char *type = js_str(event, "type", "");
    const json_t *data = json_object_get(event, "data");
    if (!strcmp(type, "tool_call"))
        snprintf(ret_doing, size, "calls %s", js_str(data, "name", "a tool"));
    else if (!strcmp(type, "waiting_approval"))
        snprintf(ret_doing, size, "waits for approval: mcpbus jobs approve, or deny");
    else if (!strcmp(type, "status"))
        snprintf(ret_doing, size, "%s", js_str(data, "status", ""));
    else
        snprintf(ret_doing, size, "running");
}

struct look {
    struct follow *follow;
    struct progress *progress; /* NULL: none */
    int interrupts;            /* known at the beginning */
    char doing[160];
};

/* Nothing goes on until somebody has said something. */
static void say_asked(const struct look *look)
{
    const char *id = js_str(look->follow->job, "job_id", "");
    progress_clear(look->progress);
    fprintf(stderr,
            "mcpbus: the job waits for approval of its tool calls: mcpbus jobs get %s shows them,\n"
            "mcpbus jobs approve %s or mcpbus jobs deny %s answers.\n",
            id, id, id);
}

static enum mcpbus_status look_on(struct look *look, bool *ret_ended)
{
    struct follow *follow = look->follow;
    AUTOJSON json_t *result = NULL;
    json_t *args = lookup_args(follow->job), *event;
    bool asked = false;
    size_t i;
    json_object_set_new(args, "after", json_integer((json_int_t)follow->after));
    json_object_set_new(args, "limit", json_integer(EVENTS_AT_ONCE));
    enum mcpbus_status status =
        session_call(follow->session, "jobs.events", args, NULL, NULL, &result);
    if (status)
        return status;
    json_t *events = json_object_get(result, "events");
    if (look->progress && follow->events && json_array_size(events))
        progress_clear(look->progress);
    json_array_foreach(events, i, event)
    {
        if (follow->events)
            print_event(follow, event);
        follow->after = js_int(event, "seq", follow->after);
        note(event, look->doing, sizeof look->doing);
        asked |= !strcmp(js_str(event, "type", ""), "waiting_approval");
    }
    *ret_ended = js_bool(result, "ended", false);
    if (look->progress && asked && !*ret_ended)
        say_asked(look);
    return MCPBUS_OK;
}

enum mcpbus_status follow_look(struct follow *follow, bool *ret_ended)
{
    struct look look = {.follow = follow};
    return look_on(&look, ret_ended);
}

/* Sleeps for `ms` while the progress moves; false: interrupted. */
static bool pause_shown(struct look *look, int64_t ms)
{
    for (; ms > 0; ms -= TICK_MS) {
        progress_show(look->progress, look->doing);
        if (!interrupts_pause(look->interrupts, ms < TICK_MS ? ms : TICK_MS))
            return false;
    }
    return true;
}

/* Does it make sense to ask on? */
static bool passes(const struct bus_session *session)
{
    const struct mcpbus_error *error = session_error(session);
    return error->group == MCPBUS_GROUP_NOT_EXECUTED ? error->status != MCPBUS_ERR_DENIED
                                                     : error->group == MCPBUS_GROUP_UNKNOWN;
}

static enum follow_end follow_on(struct look *look)
{
    const struct follow *follow = look->follow;
    int64_t began = clock_ms(), answered = began, pause = POLL_MIN_MS;
    for (;;) {
        int64_t after = follow->after;
        bool ended = false;
        enum mcpbus_status status = look_on(look, &ended);
        int64_t now = clock_ms();
        if (interrupts() != look->interrupts)
            return FOLLOW_INTERRUPTED;
        if (!status && ended)
            return FOLLOW_ENDED;
        if (!status)
            answered = now;
        else if (!passes(follow->session) || now - answered > AWAY_MS)
            return FOLLOW_LOST;
        else
            snprintf(look->doing, sizeof look->doing, "no answer, asking again: %.100s",
                     session_error(follow->session)->detail);
        if (follow->timeout_ms && now - began >= follow->timeout_ms)
            return FOLLOW_TIMEOUT;
        pause = follow->after > after ? POLL_MIN_MS : pause * 3 / 2;
        pause = pause < POLL_MAX_MS ? pause : POLL_MAX_MS;
        if (follow->timeout_ms && pause > follow->timeout_ms - (now - began))
            pause = follow->timeout_ms - (now - began);
        if (!pause_shown(look, pause))
            return FOLLOW_INTERRUPTED;
    }
}

enum follow_end follow_job(struct follow *follow)
{
    struct progress progress;
    struct look look = {
        .follow = follow, .progress = &progress, .interrupts = interrupts(), .doing = "pending"};
    progress_begin(&progress);
    enum follow_end end = follow_on(&look);
    progress_clear(&progress);
    return end;
}

static int cancel(struct follow *follow, const char *id)
{
    AUTOJSON json_t *job = NULL;
    if (session_call(follow->session, "jobs.cancel", lookup_args(follow->job), NULL, NULL, &job))
        return session_fail(follow->session, "jobs.cancel");
    fprintf(stderr, "mcpbus: job %s: %s\n", id, js_str(job, "status", ""));
    return CLI_INTERRUPTED;
}

/* The first Ctrl-C has come; a second one may have, too. */
static int leave(struct follow *follow, const char *id, int first)
{
    fprintf(
        stderr,
        "mcpbus: the job goes on. mcpbus jobs get %s shows it, mcpbus jobs cancel %s ends it.\n",
        id, id);
    if (isatty(STDERR_FILENO) != 1)
        return CLI_INTERRUPTED;
    fprintf(stderr, "Ctrl-C again within 3 seconds cancels it.\n");
    return interrupts_pause(first, SECOND_MS) ? CLI_INTERRUPTED : cancel(follow, id);
}

int follow_print_result(const json_t *job, bool json)
{
    const char *status = js_str(job, "status", ""), *result = js_str(job, "result", NULL);
    bool completed = !strcmp(status, "completed");
    if (json) {
        output_json(job);
    } else if (completed) {
        output_text(stdout, result ? result : "");
        putchar('\n');
    } else {
        fprintf(stderr, "mcpbus: the job is %s: ", status);
        output_text(stderr, js_str(job, "error_message", "no reason is on record"));
        fputc('\n', stderr);
    }
    return completed ? CLI_OK : CLI_FAILED;
}

int follow_to_result(struct follow *follow, bool json)
{
    AUTOJSON json_t *job = NULL;
    const char *id = js_str(follow->job, "job_id", "");
    interrupts_count();
    int first = interrupts() + 1;
    switch (follow_job(follow)) {
    case FOLLOW_INTERRUPTED:
        return leave(follow, id, first);
    case FOLLOW_TIMEOUT:
        fprintf(stderr, "mcpbus: it has not ended in this time, and goes on: mcpbus jobs get %s\n",
                id);
        return CLI_TIMEOUT;
    case FOLLOW_LOST:
        return session_fail(follow->session, "jobs.events");
    case FOLLOW_ENDED:
        break;
    }
    if (session_call(follow->session, "jobs.get", lookup_args(follow->job), NULL, NULL, &job))
        return session_fail(follow->session, "jobs.get");
    return follow_print_result(job, json);
}
