/* What test_job_store.c stands on: a store on the PostgreSQL of $TEST_DATABASE_URL, a scratch
 * database, emptied before each test; and each operation as one call that waits. */
#ifndef MCPBUS_TESTS_JOB_STORE_FIXTURE_H
#define MCPBUS_TESTS_JOB_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/pg.h"
#include "services/cli/migrate.h"
#include "services/jobs/store.h"

enum { WAIT_MS = 10000 };

struct env {
    struct loop *loop;
    struct store *store;
    struct pg_blocking *pg;
    int waiting;
};

static struct env *env;

static bool ready(void *arg)
{
    return store_ready(((struct env *)arg)->store);
}

static bool quiet(void *arg)
{
    return ((struct env *)arg)->waiting == 0;
}

static void wait_all(void)
{
    assert_true(loop_run_until(env->loop, quiet, env, WAIT_MS));
}

static void sql(const char *text)
{
    char why[512] = "";
    if (pg_blocking_run(env->pg, text, why))
        fail_msg("%s: %s", text, why);
}

static void expect_sql(const char *query, const char *want)
{
    AUTOFREE char *value = NULL;
    char why[512] = "";
    if (pg_blocking_value(env->pg, query, NULL, 0, &value, why))
        fail_msg("%s: %s", query, why);
    assert_string_equal(value ? value : "NULL", want);
}

static int setup(void **state)
{
    const char *url = getenv("TEST_DATABASE_URL");
    if (!url)
        return 0;
    struct env *e = mem_alloc(sizeof *e);
    char why[MIGRATE_WHY_SIZE], pg_why[512];
    FILE *out = fopen("/dev/null", "w");
    assert_int_equal(migrate(url, 5000, out, why), ERR_OK);
    fclose(out);
    assert_int_equal(pg_blocking_open(url, &e->pg, pg_why), ERR_OK);
    env = e;
    sql("TRUNCATE job_data, job_queue, job_events, job_idempotency, worker_sessions");
    e->loop = loop_new();
    struct store_options options = {.loop = e->loop,
                                    .url = url,
                                    .job_timeout_ms = 60000,
                                    .max_attempts = 3,
                                    .approval_timeout_ms = 60000};
    assert_int_equal(store_new(&options, &e->store), ERR_OK);
    assert_true(loop_run_until(e->loop, ready, e, WAIT_MS));
    *state = e;
    return 0;
}

static int teardown(void **state)
{
    struct env *e = *state;
    if (!e)
        return 0;
    store_destroy(&e->store);
    pg_blocking_close(&e->pg);
    loop_destroy(&e->loop);
    free(e);
    env = NULL;
    return 0;
}

static void need_database(void **state)
{
    if (!*state)
        skip();
}

static void count_down(void)
{
    env->waiting--;
}

static void on_submit(struct store_submit *item)
{
    (void)item;
    count_down();
}

static void add(struct store_submit *item)
{
    item->done = on_submit;
    assert_int_equal(store_submit(env->store, item), ERR_OK);
    env->waiting++;
}

static struct store_submit submit(const char *id, const char *user, const char *key,
                                  const char *hash, const char *session)
{
    struct store_submit item = {.job_id = id,
                                .user_id = user,
                                .message = "List my \"mails\" \\o/",
                                .key = key,
                                .hash = hash,
                                .session = session};
    add(&item);
    wait_all();
    return item;
}

static void on_claim(struct store_claim *item)
{
    if (!item->error)
        assert_string_equal(item->message, "List my \"mails\" \\o/");
    count_down();
}

static struct store_claim claim(const char *id, const char *session)
{
    struct store_claim item = {.done = on_claim};
    snprintf(item.job_id, sizeof item.job_id, "%s", id);
    snprintf(item.session, sizeof item.session, "%s", session);
    assert_int_equal(store_claim(env->store, &item), ERR_OK);
    env->waiting++;
    wait_all();
    return item;
}

static void on_append(struct store_append *item)
{
    (void)item;
    count_down();
}

static struct store_append append(const char *id, int64_t attempt, int64_t after, size_t count)
{
    static struct store_event events[3] = {{"message", "{\"text\": \"a \\\"b\\\"\"}"},
                                           {"tool_call", "{\"n\": 2}"},
                                           {"progress", "{}"}};
    struct store_append item = {.job_id = id,
                                .attempt = attempt,
                                .after = after,
                                .events = events,
                                .count = count,
                                .done = on_append};
    assert_int_equal(store_append(env->store, &item), ERR_OK);
    env->waiting++;
    wait_all();
    return item;
}

static void on_finish(struct store_finish *item)
{
    (void)item;
    count_down();
}

static struct store_finish finish(const char *id, int64_t attempt, const char *outcome)
{
    struct store_finish item = {.job_id = id,
                                .attempt = attempt,
                                .outcome = outcome,
                                .result = "done, \"really\"",
                                .error_message = strcmp(outcome, "completed") ? "broken" : NULL,
                                .token_usage = "{\"total_tokens\": 3}",
                                .env_names = "[\"GOOGLE_ACCESS_TOKEN\"]",
                                .done = on_finish};
    assert_int_equal(store_finish(env->store, &item), ERR_OK);
    env->waiting++;
    wait_all();
    return item;
}

static enum err done_error;
static void on_done(void *arg, enum err error)
{
    (void)arg;
    done_error = error;
    count_down();
}

static enum err open_session(const char *session)
{
    env->waiting++;
    store_session_open(env->store, session, "0123456789abcdef", "host", "1", 4, on_done, NULL);
    wait_all();
    return done_error;
}

static enum err changes_error;
static size_t change_count;
static struct store_change first_change;
static char first_id[256], first_instance[32];
static void on_changes(void *arg, enum err error, const struct store_change *changes, size_t count)
{
    (void)arg;
    changes_error = error;
    change_count = count;
    if (count) {
        first_change = changes[0];
        snprintf(first_id, sizeof first_id, "%s", changes[0].job_id);
        snprintf(first_instance, sizeof first_instance, "%s",
                 changes[0].instance ? changes[0].instance : "");
    }
    count_down();
}

static json_t *read_result;
static enum err read_error;
static void on_read(void *arg, enum err error, json_t *result)
{
    (void)arg;
    read_error = error;
    json_decref(read_result);
    read_result = json_incref(result);
    count_down();
}

static json_t *get(const char *id, const char *user)
{
    env->waiting++;
    store_get(env->store, id, user, WAIT_MS, on_read, NULL);
    wait_all();
    return read_result;
}

static json_t *events(const char *id, int64_t after, int64_t limit)
{
    env->waiting++;
    store_events(env->store, id, "u", after, limit, WAIT_MS, on_read, NULL);
    wait_all();
    assert_int_equal(read_error, ERR_OK);
    return read_result;
}

static void expect_event(const json_t *answer, size_t index, int64_t seq, const char *type,
                         const char *status)
{
    const json_t *event = json_array_get(json_object_get(answer, "events"), index);
    const json_t *data = json_object_get(event, "data");
    assert_int_equal(js_int(event, "seq", -1), seq);
    assert_string_equal(js_str(event, "type", ""), type);
    if (status)
        assert_string_equal(js_str(data, "status", ""), status);
    assert_int_equal(strlen(js_str(data, "timestamp", "")), STORE_TIME_SIZE - 1);
}

#endif
