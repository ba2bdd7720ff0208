/* The tables in memory against PostgreSQL: the same chance sequences of operations on both, their
 * answers and rows compared after each. Time passes for both by moving all rows into the past, in
 * steps that keep clear of every limit. Needs $TEST_DATABASE_URL, a scratch database. SIM_BUG=N
 * seeds a fault (enum db_bug): the test must fail then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/pg.h"
#include "services/cli/migrate.h"
#include "tests/sim/sim_db.h"

enum {
    WAIT_MS = 20000,
    SEQUENCES = 60,
    OPERATIONS = 60,
    STEP_US = 4 * DB_SECOND, /* leases 10 s, reaped at 11, deadlines 17 and 47, approvals 6,
                                retries 1 and 2 */
    TIMEOUT_MS = 17000,
    APPROVAL_MS = 6000,
    NEAR_US = 1200000, /* times of both may differ by what an operation takes */
    SLOW_US = 700000,  /* a sequence that took longer came too near to a limit */
    BATCH = 3,
};

static struct {
    struct loop *loop;
    struct store *store;
    struct pg_blocking *pg;
    struct db db;
    uint64_t random;
    int waiting;
    int64_t began;
    char story[16384]; /* what was done, for the report of a difference */
} t;

static uint64_t chance(uint64_t n)
{
    t.random ^= t.random << 13;
    t.random ^= t.random >> 7;
    t.random ^= t.random << 17;
    return (t.random >> 11) % n;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * DB_SECOND + now.tv_nsec / 1000;
}

__attribute__((format(printf, 1, 2))) static void tell(const char *fmt, ...)
{
    size_t len = strlen(t.story);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t.story + len, sizeof t.story - len, fmt, ap);
    va_end(ap);
}

static bool quiet(void *arg)
{
    (void)arg;
    return t.waiting == 0;
}

static void wait_all(void)
{
    assert_true(loop_run_until(t.loop, quiet, NULL, WAIT_MS));
}

static bool ready(void *arg)
{
    (void)arg;
    return store_ready(t.store);
}

static void sql(const char *text)
{
    char why[512] = "";
    if (pg_blocking_run(t.pg, text, why))
        fail_msg("%s: %s", text, why);
}

#define SAME(a, b, what)                                                                    \
    do {                                                                                    \
        if ((a) != (b))                                                                     \
            fail_msg("%s: SQL %lld, memory %lld\n%s", what, (long long)(a), (long long)(b), \
                     t.story);                                                              \
    } while (0)

static void same_text(const char *a, const char *b, const char *what)
{
    if (strcmp(a, b) != 0)
        fail_msg("%s\n SQL    %s\n memory %s\n%s", what, a, b, t.story);
}

/* --- names --- */

static const char *const jobs[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
static const char *const users[] = {"u0", "u1"};
static const char *const sessions[] = {"s0", "s1", "s2"};
static const char *const keys[] = {"k0", "k1", NULL, NULL};

#define ANY(list) list[chance(sizeof list / sizeof list[0])]

static int64_t an_attempt(const char *job_id)
{
    const struct db_job *job = db_find(&t.db, job_id);
    int64_t attempt = job ? job->attempt : 1;
    return chance(4) ? attempt : attempt + 1 - (int64_t)chance(3);
}

/* Different ids for one batch. */
static size_t some_jobs(const char *ret_ids[BATCH])
{
    size_t count = 1 + chance(BATCH), first = chance(8), step = 1 + 2 * chance(4);
    for (size_t i = 0; i < count; i++)
        ret_ids[i] = jobs[(first + i * step) % 8];
    return count;
}

/* --- operations --- */

static void submitted(struct store_submit *item)
{
    (void)item;
    t.waiting--;
}

static void do_submit(void)
{
    struct store_submit items[BATCH] = {0}, copies[BATCH], *list[BATCH];
    const char *ids[BATCH];
    size_t count = some_jobs(ids);
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct store_submit){.job_id = ids[i],
                                         .user_id = ANY(users),
                                         .message = "m",
                                         .key = ANY(keys),
                                         .session = chance(2) ? ANY(sessions) : NULL,
                                         .done = submitted};
        items[i].hash = items[i].key ? (chance(4) ? "h" : "other") : NULL;
        copies[i] = items[i];
        list[i] = &copies[i];
        tell("submit %s %s key %s session %s\n", ids[i], items[i].user_id,
             items[i].key ? items[i].key : "-", items[i].session ? items[i].session : "-");
        t.waiting++;
        assert_int_equal(store_submit(t.store, &items[i]), ERR_OK);
    }
    wait_all();
    db_submit(&t.db, now_us(), list, count);
    db_submit_lookup(&t.db, list, count);
    for (size_t i = 0; i < count; i++) {
        SAME(items[i].error, copies[i].error, "submit");
        SAME(items[i].claimed && !items[i].error, copies[i].claimed, "claimed at insert");
        same_text(items[i].existing, copies[i].existing, "existing");
    }
}

static char claimed_user[BATCH][8];
static struct store_claim claims[BATCH];

static void claimed(struct store_claim *item)
{
    if (!item->error)
        snprintf(claimed_user[item - claims], sizeof claimed_user[0], "%s", item->user_id);
    t.waiting--;
}

static void do_claim(void)
{
    struct store_claim copies[BATCH], *list[BATCH];
    const char *ids[BATCH];
    size_t count = some_jobs(ids);
    memset(claims, 0, sizeof claims);
    for (size_t i = 0; i < count; i++) {
        claims[i].done = claimed;
        snprintf(claims[i].job_id, sizeof claims[i].job_id, "%s", ids[i]);
        snprintf(claims[i].session, sizeof claims[i].session, "%s", ANY(sessions));
        tell("claim %s %s\n", claims[i].job_id, claims[i].session);
        copies[i] = claims[i];
        list[i] = &copies[i];
        t.waiting++;
        assert_int_equal(store_claim(t.store, &claims[i]), ERR_OK);
    }
    wait_all();
    db_claim(&t.db, now_us(), list, NULL, count);
    for (size_t i = 0; i < count; i++) {
        SAME(claims[i].error, copies[i].error, "claim");
        SAME(claims[i].attempt, copies[i].attempt, "the claim's attempt");
        SAME(claims[i].events, copies[i].events, "the claim's events");
        if (!claims[i].error)
            same_text(claimed_user[i], copies[i].user_id, "the claim's user");
    }
}

static void appended(struct store_append *item)
{
    (void)item;
    t.waiting--;
}

static void do_append(void)
{
    struct store_append items[BATCH] = {0}, copies[BATCH], *list[BATCH];
    static struct store_event all[3] = {{"progress", "{\"n\":1}"},
                                        {"tool_call", "{\"usage\":{\"total_tokens\":2}}"},
                                        {"waiting_approval",
                                         "{\"calls\":[{\"id\":\"c1\"},{\"id\":\"c2\"}],"
                                         "\"usage\":{\"total_tokens\":4}}"}};
    struct store_event *events = &all[chance(2)];
    const char *ids[BATCH];
    size_t count = some_jobs(ids);
    for (size_t i = 0; i < count; i++) {
        const struct db_job *job = db_find(&t.db, ids[i]);
        int64_t after = job ? job->last_event : 2;
        items[i] =
            (struct store_append){.job_id = ids[i],
                                  .attempt = an_attempt(ids[i]),
                                  .after = chance(4) ? after : after + 1 - (int64_t)chance(3),
                                  .events = events,
                                  .count = 1 + chance(2),
                                  .done = appended};
        tell("append %s#%lld after %lld\n", ids[i], (long long)items[i].attempt,
             (long long)items[i].after);
        copies[i] = items[i];
        list[i] = &copies[i];
        t.waiting++;
        assert_int_equal(store_append(t.store, &items[i]), ERR_OK);
    }
    wait_all();
    db_append(&t.db, now_us(), list, count);
    for (size_t i = 0; i < count; i++) {
        SAME(items[i].error, copies[i].error, "append");
        if (!items[i].error || items[i].error == ERR_CONFLICT)
            SAME(items[i].last, copies[i].last, "the last event");
    }
}

static void finished(struct store_finish *item)
{
    (void)item;
    t.waiting--;
}

/* A job may be there twice: its worker's end, and that of a worker which lost it. */
static void do_finish(void)
{
    static const char *const outcomes[] = {"completed", "failed", "retry", "released"};
    struct store_finish items[BATCH + 1] = {0}, copies[BATCH + 1], *list[BATCH + 1];
    const char *ids[BATCH + 1];
    size_t count = some_jobs(ids);
    bool twice = chance(3) == 0;
    if (twice)
        ids[count++] = ids[0];
    for (size_t i = 0; i < count; i++) {
        bool last = twice && i == count - 1;
        items[i] =
            (struct store_finish){.job_id = ids[i],
                                  .attempt = last ? items[0].attempt + 1 : an_attempt(ids[i]),
                                  .outcome = ANY(outcomes),
                                  .result = chance(2) ? "r" : NULL,
                                  .error_message = chance(2) ? "e" : NULL,
                                  .token_usage = chance(2) ? "{\"total_tokens\":3}" : NULL,
                                  .done = finished};
        tell("finish %s#%lld %s\n", ids[i], (long long)items[i].attempt, items[i].outcome);
        copies[i] = items[i];
        list[i] = &copies[i];
        t.waiting++;
        assert_int_equal(store_finish(t.store, &items[i]), ERR_OK);
    }
    wait_all();
    db_finish(&t.db, now_us(), list, count);
    for (size_t i = 0; i < count; i++) {
        SAME(items[i].error, copies[i].error, "finish");
        same_text(items[i].fate, copies[i].fate, "fate");
        same_text(items[i].user_id, copies[i].user_id, "the user of a finish");
    }
}

static void ask(const char *job_id)
{
    static struct store_event event = {"waiting_approval",
                                       "{\"calls\":[{\"id\":\"c1\"},{\"id\":\"c2\"}]}"};
    const struct db_job *job = db_find(&t.db, job_id);
    if (!job)
        return;
    struct store_append item = {.job_id = job_id,
                                .attempt = job->attempt,
                                .after = job->last_event,
                                .events = &event,
                                .count = 1,
                                .done = appended};
    struct store_append copy = item, *list = &copy;
    tell("ask %s\n", job_id);
    t.waiting++;
    assert_int_equal(store_append(t.store, &item), ERR_OK);
    wait_all();
    db_append(&t.db, now_us(), &list, 1);
    SAME(item.error, copy.error, "ask");
}

static void do_park(void)
{
    struct store_finish items[BATCH] = {0}, copies[BATCH], *list[BATCH];
    const char *ids[BATCH];
    size_t count = some_jobs(ids);
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct store_finish){.job_id = ids[i],
                                         .attempt = an_attempt(ids[i]),
                                         .outcome = "waiting",
                                         .token_usage = chance(2) ? "{\"total_tokens\":3}" : NULL,
                                         .done = finished};
        if (chance(4))
            ask(ids[i]);
        tell("park %s#%lld\n", ids[i], (long long)items[i].attempt);
        copies[i] = items[i];
        list[i] = &copies[i];
        t.waiting++;
        assert_int_equal(store_park(t.store, &items[i]), ERR_OK);
    }
    wait_all();
    db_park(&t.db, now_us(), list, count);
    for (size_t i = 0; i < count; i++) {
        SAME(items[i].error, copies[i].error, "park");
        same_text(items[i].fate, copies[i].fate, "fate");
        same_text(items[i].user_id, copies[i].user_id, "the user of a park");
    }
}

static void renewed(struct store_renew *item)
{
    (void)item;
    t.waiting--;
}

static json_t *some_held(void)
{
    json_t *held = json_array();
    const char *ids[BATCH];
    for (size_t i = 0, count = some_jobs(ids); i < count; i++)
        json_array_append_new(held, json_pack("{s:s, s:I}", "job_id", ids[i], "attempt",
                                              (json_int_t)an_attempt(ids[i])));
    return held;
}

static char renewed_at[STORE_TIME_SIZE];

static void do_renew(void)
{
    AUTOJSON json_t *held = some_held();
    struct store_renew item = {.session = ANY(sessions), .held = held, .done = renewed};
    struct store_renew copy = item, *list = &copy;
    tell("renew %s\n", item.session);
    t.waiting++;
    assert_int_equal(store_renew(t.store, &item), ERR_OK);
    wait_all();
    db_renew(&t.db, now_us(), now_us(), &list, 1);
    SAME(item.error, copy.error, "renew");
    SAME(json_array_size(item.ret_held), json_array_size(copy.ret_held), "held");
    for (size_t i = 0; i < json_array_size(item.ret_held); i++) {
        size_t n = 0;
        while (n < json_array_size(copy.ret_held) &&
               !json_equal(json_array_get(item.ret_held, i), json_array_get(copy.ret_held, n)))
            n++;
        SAME(n < json_array_size(copy.ret_held), true, "what is held");
    }
    if (!item.error)
        memcpy(renewed_at, item.renewed_at, sizeof renewed_at);
    json_decref(item.ret_held);
    json_decref(copy.ret_held);
}

static enum err done_error;

static void on_done(void *arg, enum err error)
{
    (void)arg;
    done_error = error;
    t.waiting--;
}

static void do_open(void)
{
    const char *session = ANY(sessions);
    tell("open %s\n", session);
    t.waiting++;
    store_session_open(t.store, session, "0123456789abcdef", "host", "1", 4, on_done, NULL);
    wait_all();
    SAME(done_error, db_session_open(&t.db, now_us(), session, "0123456789abcdef"), "open");
}

/* Changes as sorted lines. */
static char changed[8192];

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void write_changes(const struct store_change *changes, size_t count, bool sorted, char *text)
{
    char(*lines)[128] = mem_alloc((count + 1) * sizeof *lines);
    for (size_t i = 0; i < count; i++)
        snprintf(lines[i], sizeof lines[i], "%s/%s#%lld %d %d %s; ", changes[i].job_id,
                 changes[i].user_id, (long long)changes[i].attempt, changes[i].queued,
                 changes[i].ended, changes[i].instance ? changes[i].instance : "-");
    if (sorted)
        qsort(lines, count, sizeof *lines, by_text);
    *text = '\0';
    for (size_t i = 0; i < count; i++)
        strcat(text, lines[i]);
    free(lines);
}

static void on_changes(void *arg, enum err error, const struct store_change *changes, size_t count)
{
    assert_int_equal(error, ERR_OK);
    write_changes(changes, count, arg != NULL, changed);
    t.waiting--;
}

static void same_changes(const struct db_changes *mine, bool sorted, const char *what)
{
    char text[8192];
    write_changes(mine->items, mine->count, sorted, text);
    same_text(changed, text, what);
    free(mine->items);
}

static void do_change(void)
{
    struct db_changes mine = {0};
    const char *job = ANY(jobs), *user = ANY(users), *session = ANY(sessions);
    uint64_t kind = chance(6);
    kind = kind < 4 ? kind : 2;
    t.waiting++;
    tell("%s %s %s %s\n", (const char *[]){"cancel", "close", "reap", "scan"}[kind],
         kind ? "" : job, kind ? "" : user, kind == 1 ? session : "");
    if (kind == 0)
        store_cancel(t.store, job, user, on_changes, &t);
    else if (kind == 1)
        store_session_close(t.store, session, on_changes, &t);
    else if (kind == 2)
        store_reap(t.store, on_changes, &t);
    else
        store_scan(t.store, 2, 5, on_changes, NULL);
    wait_all();
    if (kind == 0)
        db_cancel(&t.db, now_us(), job, user, &mine);
    else if (kind == 1)
        db_session_close(&t.db, now_us(), session, &mine);
    else if (kind == 2)
        db_reap(&t.db, now_us(), 1000, &mine);
    else
        db_scan(&t.db, now_us(), 2, 5, &mine);
    same_changes(&mine, kind != 3, "changes");
}

/* Of a job that waits, if there is one. */
static void do_decide(void)
{
    static const char *const calls[] = {NULL, "{\"c2\"}", "{\"c1\",\"c2\"}", "{\"c1\",\"c3\"}"};
    const char *job = ANY(jobs), *user = ANY(users), *ids = ANY(calls);
    struct db_changes mine = {0};
    for (size_t i = 0; i < t.db.job_count; i++)
        if (t.db.jobs[i]->queued && t.db.jobs[i]->state == 2 && chance(2))
            job = t.db.jobs[i]->id;
    tell("decide %s %s %s\n", job, user, ids ? ids : "-");
    t.waiting++;
    store_decide(t.store, job, user, "{\"decision\":\"approve\"}", ids, on_changes, &t);
    wait_all();
    db_decide(&t.db, now_us(), job, user, "{\"decision\":\"approve\"}", ids, &mine);
    same_changes(&mine, true, "decide");
}

static char missing[4096];

static void write_runs(const struct store_run *runs, size_t count, char *text)
{
    char lines[8][256];
    for (size_t i = 0; i < count && i < 8; i++)
        snprintf(lines[i], sizeof lines[i], "%s/%s#%lld %s %s %s %lld; ", runs[i].job_id,
                 runs[i].user_id, (long long)runs[i].attempt, runs[i].message, runs[i].session,
                 runs[i].instance, (long long)runs[i].events);
    qsort(lines, count, sizeof lines[0], by_text);
    *text = '\0';
    for (size_t i = 0; i < count; i++)
        strcat(text, lines[i]);
}

static void on_missing(void *arg, enum err error, const struct store_run *runs, size_t count)
{
    (void)arg;
    assert_int_equal(error, ERR_OK);
    write_runs(runs, count, missing);
    t.waiting--;
}

static void do_missing(void)
{
    AUTOJSON json_t *held = some_held();
    const char *session = ANY(sessions);
    struct db_runs mine = {0};
    char text[4096], at[STORE_TIME_SIZE];
    int64_t renewed_us = now_us();
    db_time(renewed_us, at);
    tell("missing %s\n", session);
    t.waiting++;
    store_missing(t.store, session, held, at, on_missing, NULL);
    wait_all();
    db_missing(&t.db, now_us(), session, held, renewed_us, &mine);
    write_runs(mine.items, mine.count, text);
    same_text(missing, text, "missing");
    free(mine.items);
    free(mine.created_at);
}

static json_t *answer;

static void on_json(void *arg, enum err error, json_t *result)
{
    (void)arg;
    assert_true(error == ERR_OK || error == ERR_NOT_FOUND);
    json_decref(answer);
    answer = json_incref(result);
    t.waiting--;
}

/* Times are compared with the rows. */
static void without_times(json_t *value)
{
    static const char *const names[] = {"timestamp", "created_at", "updated_at", "completed_at"};
    size_t i;
    json_t *item;
    const char *key;
    json_array_foreach(value, i, item) without_times(item);
    for (i = 0; i < 4; i++)
        if (json_object_get(value, names[i]))
            json_object_set_new(value, names[i],
                                json_boolean(json_is_string(json_object_get(value, names[i]))));
    json_object_foreach(value, key, item) without_times(item);
}

static void do_read(void)
{
    const char *job = ANY(jobs), *user = ANY(users);
    bool events = chance(2);
    int64_t after = (int64_t)chance(5), limit = 1 + (int64_t)chance(8);
    tell("%s %s %s\n", events ? "events" : "get", job, user);
    t.waiting++;
    if (events)
        store_events(t.store, job, user, after, limit, WAIT_MS, on_json, NULL);
    else
        store_get(t.store, job, user, WAIT_MS, on_json, NULL);
    wait_all();
    AUTOJSON json_t *mine =
        events ? db_events(&t.db, job, user, after, limit) : db_get(&t.db, job, user);
    without_times(answer);
    without_times(mine);
    AUTOFREE char *a = answer ? json_dumps(answer, JSON_SORT_KEYS) : mem_strdup("none");
    AUTOFREE char *b = mine ? json_dumps(mine, JSON_SORT_KEYS) : mem_strdup("none");
    same_text(a, b, "read");
}

static void shift(int64_t *at)
{
    *at -= *at ? STEP_US : 0;
}

static void do_pass(void)
{
    tell("4 s pass\n");
    sql("UPDATE job_queue SET run_at = run_at - interval '4 s', deadline = deadline - interval '4 s',"
        " claimed_at = claimed_at - interval '4 s',"
        " first_started_at = first_started_at - interval '4 s';"
        "UPDATE job_data SET created_at = created_at - interval '4 s',"
        " updated_at = updated_at - interval '4 s', completed_at = completed_at - interval '4 s',"
        " started_at = started_at - interval '4 s';"
        "UPDATE worker_sessions SET lease_until = lease_until - interval '4 s';"
        "UPDATE job_events SET created_at = created_at - interval '4 s'");
    for (size_t i = 0; i < t.db.job_count; i++) {
        struct db_job *job = t.db.jobs[i];
        shift(&job->run_at);
        shift(&job->deadline);
        shift(&job->claimed_at);
        shift(&job->first_started_at);
        shift(&job->created_at);
        shift(&job->updated_at);
        shift(&job->completed_at);
        shift(&job->started_at);
    }
    for (size_t i = 0; i < t.db.session_count; i++)
        shift(&t.db.sessions[i]->lease_until);
}

/* --- rows --- */

/* Seconds to a time, to the nearest second when the steps are whole seconds apart; "-": NULL. */
static const char rows_query[] =
    "SELECT coalesce(string_agg(format('%s|%s|%s|%s|%s|%s|%s|%s', d.id, d.user_id, d.status,"
    " d.result, d.error_message, d.attempts, d.events, CASE WHEN q.job_id IS NOT NULL THEN"
    " format('%s,%s,%s,%s,%s,%s', q.state, q.attempt, q.failures, q.losses, q.events, q.session)"
    " END), E'\\n' ORDER BY d.id), '') FROM job_data d LEFT JOIN job_queue q ON q.job_id = d.id";

static const char times_query[] =
    "SELECT coalesce(string_agg(format('%s %s %s %s %s %s %s', q.job_id,"
    " m(q.run_at), m(q.deadline), m(q.claimed_at), m(q.first_started_at), m(d.created_at),"
    " m(d.updated_at)), E'\\n' ORDER BY q.job_id), '') FROM job_queue q"
    " JOIN job_data d ON d.id = q.job_id";

static char *value(const char *query)
{
    char *text = NULL, why[512] = "";
    if (pg_blocking_value(t.pg, query, NULL, 0, &text, why))
        fail_msg("%s: %s", query, why);
    return text;
}

static int by_id(const void *a, const void *b)
{
    return strcmp((*(struct db_job *const *)a)->id, (*(struct db_job *const *)b)->id);
}

static void same_rows(void)
{
    char text[8192] = "";
    struct db_job *sorted[8];
    for (size_t i = 0; i < t.db.job_count; i++)
        sorted[i] = t.db.jobs[i];
    qsort(sorted, t.db.job_count, sizeof sorted[0], by_id);
    for (size_t i = 0; i < t.db.job_count; i++) {
        const struct db_job *job = sorted[i];
        size_t len = strlen(text);
        len +=
            (size_t)sprintf(text + len, "%s%s|%s|%s|%s|%s|%lld|%lld|", i ? "\n" : "", job->id,
                            job->user_id, job->status, job->result ? job->result : "",
                            job->error_message ? job->error_message : "", (long long)job->attempts,
                            job->queued ? 1LL : (long long)job->events);
        if (job->queued)
            sprintf(text + len, "%d,%lld,%lld,%lld,%lld,%s", job->state, (long long)job->attempt,
                    (long long)job->failures, (long long)job->losses, (long long)job->last_event,
                    job->session ? job->session : "");
    }
    AUTOFREE char *theirs = value(rows_query);
    same_text(theirs, text, "rows");
}

static void same_times(void)
{
    AUTOFREE char *theirs = value(times_query);
    char *rest = theirs, *line;
    while ((line = strsep(&rest, "\n")) && *line) {
        char id[16], texts[6][32];
        assert_int_equal(sscanf(line, "%15s %31s %31s %31s %31s %31s %31s", id, texts[0], texts[1],
                                texts[2], texts[3], texts[4], texts[5]),
                         7);
        const struct db_job *job = db_find(&t.db, id);
        const int64_t mine[] = {job->run_at,           job->deadline,   job->claimed_at,
                                job->first_started_at, job->created_at, job->updated_at};
        for (int i = 0; i < 6; i++) {
            int64_t at = strcmp(texts[i], "-") ? strtoll(texts[i], NULL, 10) : 0;
            if ((at == 0) != (mine[i] == 0) || llabs(at - mine[i]) > NEAR_US)
                fail_msg("time %d of %s: SQL %lld, memory %lld\n%s", i, id, (long long)at,
                         (long long)mine[i], t.story);
        }
    }
}

/* --- sequences --- */

static void begin(uint64_t seed)
{
    sql("TRUNCATE job_data, job_queue, job_events, job_idempotency, worker_sessions");
    db_init(&t.db, TIMEOUT_MS, 3);
    t.db.approval_timeout_us = APPROVAL_MS * INT64_C(1000);
    t.db.bug = getenv("SIM_BUG") ? atoi(getenv("SIM_BUG")) : DB_BUG_NONE;
    t.random = seed * 0x9e3779b97f4a7c15u + 88172645463325252u;
    snprintf(t.story, sizeof t.story, "sequence %llu:\n", (unsigned long long)seed);
    for (int i = 0; i < 20; i++)
        chance(2);
    do_open();
    do_open();
    t.began = now_us();
}

static bool run_sequence(uint64_t seed)
{
    static void (*const operations[])(void) = {
        do_submit, do_submit, do_submit, do_claim,  do_claim,  do_claim,  do_append,  do_append,
        do_finish, do_finish, do_renew,  do_renew,  do_change, do_change, do_missing, do_read,
        do_read,   do_pass,   do_open,   do_append, do_park,   do_park,   do_decide,  do_decide};
    bool in_time = true;
    begin(seed);
    for (int i = 0; i < OPERATIONS && in_time; i++) {
        ANY(operations)();
        in_time = now_us() - t.began < SLOW_US;
        if (in_time)
            same_rows();
    }
    if (in_time)
        same_times();
    db_fini(&t.db);
    return in_time;
}

static void test_same(void **state)
{
    const char *url = getenv("TEST_DATABASE_URL");
    char why[MIGRATE_WHY_SIZE], pg_why[512];
    int whole = 0;
    (void)state;
    if (!url)
        skip();
    FILE *out = fopen("/dev/null", "w");
    assert_int_equal(migrate(url, 5000, out, why), ERR_OK);
    fclose(out);
    assert_int_equal(pg_blocking_open(url, &t.pg, pg_why), ERR_OK);
    sql("CREATE OR REPLACE FUNCTION m(t timestamptz) RETURNS text LANGUAGE sql AS $$"
        " SELECT coalesce(floor(extract(epoch FROM t) * 1000000)::bigint::text, '-') $$");
    t.loop = loop_new();
    struct store_options options = {.loop = t.loop,
                                    .url = url,
                                    .job_timeout_ms = TIMEOUT_MS,
                                    .max_attempts = 3,
                                    .approval_timeout_ms = APPROVAL_MS};
    assert_int_equal(store_new(&options, &t.store), ERR_OK);
    assert_true(loop_run_until(t.loop, ready, NULL, WAIT_MS));
    for (uint64_t seed = 1; seed <= SEQUENCES; seed++)
        whole += run_sequence(seed);
    print_message("%d of %d sequences were quick enough to be told to the end\n", whole, SEQUENCES);
    json_decref(answer);
    store_destroy(&t.store);
    sql("DROP FUNCTION m(timestamptz)");
    pg_blocking_close(&t.pg);
    loop_destroy(&t.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
