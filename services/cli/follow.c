#include "services/cli/follow.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/ask.h"
#include "services/cli/events.h"
#include "services/cli/lookup.h"
#include "services/cli/progress.h"

enum {
    POLL_MIN_MS = 50,
    POLL_MAX_MS = 1000,
    TICK_MS = 100,
    EVENTS_AT_ONCE = 500,
    AWAY_MS = 60000, /* as long as nobody answers, the job may still go on */
    SECOND_MS = 3000,
};

static void print_event(struct follow *follow, const json_t *event)
{
    if (follow->json) {
        AUTOFREE char *text = js_dump(event);
        output_say(follow->events, "%s\n", text);
        fflush(follow->events);
    } else {
        event_print(follow->events, event, &follow->began);
    }
}

struct look {
    struct follow *follow;
    struct progress *progress; /* NULL: none */
    int interrupts;            /* known at the beginning */
    bool asked;                /* it waits for a word of somebody */
    struct activity activity;
};

/* Nothing goes on until somebody has said something. */
static void say_asked(const struct look *look)
{
    const char *id = js_str(look->follow->job, "job_id", "");
    progress_clear(look->progress);
    output_say(stderr,
               "mcpbus: the job waits for approval of its tool calls: mcpbus jobs get %s shows "
               "them,\nmcpbus jobs approve %s or mcpbus jobs deny %s answers.\n",
               id, id, id);
}

static void take_event(struct look *look, const json_t *event)
{
    struct follow *follow = look->follow;
    const char *type = js_str(event, "type", "");
    if (follow->events)
        print_event(follow, event);
    follow->after = js_int(event, "seq", follow->after);
    activity_note(&look->activity, event);
    if (!strcmp(type, "waiting_approval"))
        look->asked = true;
    else if (!strcmp(type, "approval") || !strcmp(type, "status"))
        look->asked = false;
}

static enum mcpbus_status look_on(struct look *look, bool *ret_ended)
{
    struct follow *follow = look->follow;
    AUTOJSON json_t *result = NULL;
    json_t *args = lookup_args(follow->job), *event;
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
    json_array_foreach(events, i, event) take_event(look, event);
    *ret_ended = js_bool(result, "ended", false);
    return MCPBUS_OK;
}

/* Once for each time that it waits; an event behind that ends it. False: interrupted. */
static bool answer(struct look *look)
{
    const struct follow *follow = look->follow;
    look->asked = false;
    if (!follow->ask || !ask_is_possible()) {
        say_asked(look);
        return true;
    }
    progress_end(look->progress);
    enum ask_end end = ask_about(follow->session, follow->job, look->interrupts);
    look->asked = end == ASK_NOT_YET; /* the event may be here before the job */
    if (end == ASK_LATER)
        say_asked(look);
    return end != ASK_INTERRUPTED;
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
        progress_show(look->progress, look->activity.doing);
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
            snprintf(look->activity.doing, sizeof look->activity.doing,
                     "no answer, asking again: %.100s", session_error(follow->session)->detail);
        if (!status && look->asked && !answer(look))
            return FOLLOW_INTERRUPTED;
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
    struct look look = {.follow = follow, .progress = &progress, .interrupts = interrupts()};
    snprintf(look.activity.doing, sizeof look.activity.doing, "waits for a worker");
    progress_begin(&progress);
    enum follow_end end = follow_on(&look);
    progress_end(&progress);
    return end;
}

static int cancel(struct follow *follow, const char *id)
{
    AUTOJSON json_t *job = NULL;
    if (session_call(follow->session, "jobs.cancel", lookup_args(follow->job), NULL, NULL, &job))
        return session_fail(follow->session, "jobs.cancel");
    output_say(stderr, "mcpbus: job %s: %s\n", id, js_str(job, "status", ""));
    return CLI_INTERRUPTED;
}

/* The first Ctrl-C has come; a second one may have, too. */
static int leave(struct follow *follow, const char *id, int first)
{
    output_say(stderr,
               "mcpbus: the job goes on. mcpbus jobs watch %s follows it again,\n"
               "mcpbus jobs get %s shows it, mcpbus jobs cancel %s ends it.\n",
               id, id, id);
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
        output_say(stderr, "mcpbus: the job is %s: %s\n", status,
                   js_str(job, "error_message", "no reason is on record"));
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
        output_say(stderr,
                   "mcpbus: it has not ended in this time, and goes on: mcpbus jobs watch %s\n",
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
