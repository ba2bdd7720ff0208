/* What the dashboard shows of it all: numbers over time, what failed and why, the database. */
#include <stdio.h>

#include "libcommon/bus_reach.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/jobs/error_groups.h"
#include "services/jobs/look.h"

enum {
    SPAN_MAX_S = 30 * 24 * 3600,
    STATS_MAX = 8, /* answers of megabytes that may be made at once */
    STATS_READ_MS = 10000,
    STATS_SHARE = 20, /* of the time that an answer took: as long it is good for all */
    STATS_FRESH_MAX_MS = 10000,
    DATABASE_PATIENCE_MS = JOBS_SILENCE_MS,
};

/* The newest answer of its step. */
struct stats_answer {
    int64_t span, fresh_until;
    struct buf text;
};

struct insight {
    struct look errors, database;
    struct stats_answer fine, coarse;
    struct loop_timer *patience; /* with the database */
    size_t reading;
};

/* --- numbers over time --- */

struct stats_reading {
    struct insight *insight;
    struct bus_call *call;
    struct stats_answer *answer;
    int64_t span, began;
};

static void reply_copy(struct bus_call **call_p, const struct buf *text)
{
    struct buf copy;
    buf_init(&copy, text->max);
    buf_add(&copy, text->data, text->len);
    bus_reply_text(call_p, &copy);
    buf_fini(&copy);
}

/* A month is megabytes of text: it isn't made anew for each who looks. */
static void keep(struct stats_reading *reading, const struct buf *text)
{
    struct stats_answer *answer = reading->answer;
    int64_t now = loop_now(reading->insight->database.jobs->loop);
    int64_t fresh = STATS_SHARE * (now - reading->began);
    answer->span = reading->span;
    answer->fresh_until = now + (fresh < STATS_FRESH_MAX_MS ? fresh : STATS_FRESH_MAX_MS);
    buf_fini(&answer->text);
    buf_init(&answer->text, text->max);
    buf_add(&answer->text, text->data, text->len);
}

static void on_stats(void *arg, enum err error, struct buf *text)
{
    struct stats_reading *reading = arg;
    reading->insight->reading--;
    if (error) {
        jobs_reply_error(&reading->call, error);
    } else {
        keep(reading, text);
        bus_reply_text(&reading->call, text);
    }
    free(reading);
}

void jobs_stats(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    int64_t span = js_int(args, "span", 0), step = js_int(args, "step", 0);
    if (span < 1 || span > SPAN_MAX_S || (step != 10 && step != 600)) {
        bus_reply_error(&call, ERR_INVALID, "span must be 1 to %d, step 10 or 600", SPAN_MAX_S);
        return;
    }
    struct insight *insight = jobs->insight;
    struct stats_answer *answer = step == 10 ? &insight->fine : &insight->coarse;
    if (answer->span == span && loop_now(jobs->loop) < answer->fresh_until) {
        reply_copy(&call, &answer->text);
        return;
    }
    if (insight->reading == STATS_MAX) {
        jobs_reply_error(&call, ERR_OVERLOADED);
        return;
    }
    int64_t left = bus_call_time_left(call);
    struct stats_reading *reading = mem_alloc(sizeof *reading);
    *reading = (struct stats_reading){insight, call, answer, span, loop_now(jobs->loop)};
    insight->reading++;
    store_stats_read(jobs->store, span, step, left < STATS_READ_MS ? left : STATS_READ_MS, on_stats,
                     reading);
}

/* --- what failed --- */

static void on_failures(void *arg, enum err error, const struct store_failure *failures,
                        size_t count)
{
    AUTOJSON json_t *result = error ? NULL : error_groups_json(failures, count);
    look_end(arg, error, result);
}

static void look_at_failures(struct look *look)
{
    store_failures(look->jobs->store, on_failures, look);
}

void jobs_errors(void *service, struct bus_call *call, json_t *args)
{
    (void)args;
    look_ask(&jobs_of(service)->insight->errors, call);
}

/* --- the database --- */

static void on_database(void *arg, enum err error, json_t *result)
{
    struct look *look = arg;
    loop_timer_stop(look->jobs->insight->patience);
    if (!error)
        json_object_set_new(result, "answer_ms",
                            json_integer((json_int_t)(loop_now(look->jobs->loop) - look->began)));
    look_end(look, error, result);
}

static void look_at_database(struct look *look)
{
    store_database(look->jobs->store, on_database, look);
}

static void refuse(struct jobs *jobs, struct bus_call **call_p)
{
    const char *why = store_problem(jobs->store);
    char text[512];
    snprintf(text, sizeof text, "The database does not answer%s%s", *why ? ": " : ".", why);
    bus_reply_busy(call_p, ERR_OVERLOADED, JOBS_RETRY_MS, text);
}

/* A server that was frozen neither answers nor ends its connections. */
static void on_patience(void *arg)
{
    struct jobs *jobs = arg;
    look_give_up(&jobs->insight->database, "The database does not answer.");
}

void jobs_database(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    (void)args;
    if (!store_ready(jobs->store) || !bus_reach_is_there(jobs->reach)) {
        refuse(jobs, &call);
        return;
    }
    if (jobs->insight->database.asking_count == 0)
        loop_timer_start(jobs->insight->patience, DATABASE_PATIENCE_MS);
    look_ask(&jobs->insight->database, call);
}

void insight_init(struct jobs *jobs)
{
    jobs->insight = mem_alloc(sizeof *jobs->insight);
    look_init(&jobs->insight->errors, jobs, look_at_failures);
    look_init(&jobs->insight->database, jobs, look_at_database);
    jobs->insight->patience = loop_timer_new(jobs->loop, on_patience, jobs);
}

void insight_fini(struct jobs *jobs)
{
    loop_timer_destroy(&jobs->insight->patience);
    buf_fini(&jobs->insight->fine.text);
    buf_fini(&jobs->insight->coarse.text);
    look_fini(&jobs->insight->errors);
    look_fini(&jobs->insight->database);
    free(jobs->insight);
    jobs->insight = NULL;
}
