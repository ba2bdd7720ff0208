/* The store's statements against PostgreSQL. */
#include "tests/unit/job_store_fixture.h"

static void a_job_is_claimed_once(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s1"), ERR_OK);
    assert_int_equal(open_session("s1"), ERR_OK);
    struct store_submit job = submit("j1", "u", NULL, NULL, NULL);
    assert_int_equal(job.error, ERR_OK);
    assert_false(job.claimed);
    assert_string_equal(job.existing, "");
    assert_string_equal(js_str(get("j1", "u"), "status", ""), "pending");
    assert_int_equal(claim("j1", "unknown").error, ERR_NOT_FOUND);
    struct store_claim first = claim("j1", "s1");
    assert_int_equal(first.error, ERR_OK);
    assert_int_equal(first.attempt, 1);
    assert_int_equal(first.events, 2);
    assert_int_equal(claim("j1", "s1").error, ERR_NOT_FOUND);
    assert_string_equal(js_str(get("j1", "u"), "status", ""), "running");
    get("j1", "other");
    assert_int_equal(read_error, ERR_NOT_FOUND);
}

static void a_submit_claims_for_a_live_session(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s1"), ERR_OK);
    struct store_submit job = submit("j1", "u", NULL, NULL, "s1");
    assert_true(job.claimed);
    assert_int_equal(strlen(job.created_at), STORE_TIME_SIZE - 1);
    assert_false(submit("j2", "u", NULL, NULL, "dead").claimed);
    expect_sql("SELECT string_agg(status, ',' ORDER BY id) FROM job_records", "running,pending");
    /* A retried submit, and someone else's id. */
    assert_string_equal(submit("j1", "u", NULL, NULL, "s1").existing, "j1");
    assert_int_equal(submit("j1", "thief", NULL, NULL, NULL).error, ERR_CONFLICT);
    expect_sql("SELECT count(*)::text FROM job_queue", "2");
}

/* One id that is there already fails the usual statement; the batch is then repeated whole, in one
 * transaction more. */
static void a_known_id_fails_no_other_of_its_batch(void **state)
{
    need_database(state);
    enum { JOBS = 100 };
    struct store_submit items[JOBS];
    char ids[JOBS][16];
    assert_int_equal(submit("j50", "u", NULL, NULL, NULL).error, ERR_OK);
    assert_int_equal(submit("j60", "other", NULL, NULL, NULL).error, ERR_OK);
    for (int i = 0; i < JOBS; i++) {
        snprintf(ids[i], sizeof ids[i], "j%d", i);
        items[i] = (struct store_submit){.job_id = ids[i], .user_id = "u", .message = "m"};
        add(&items[i]);
    }
    wait_all();
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(items[i].error, i == 60 ? ERR_CONFLICT : ERR_OK);
        assert_string_equal(items[i].existing, i == 50 ? "j50" : "");
    }
    expect_sql("SELECT count(*)::text FROM job_queue", "100");
    expect_sql("SELECT count(DISTINCT xmin::text)::text FROM job_queue", "3");
}

/* Of two users who take the same id at once, one has the job and the other is told so. */
static void an_id_that_two_users_take_is_one_user_s(void **state)
{
    need_database(state);
    static const char *const users[] = {"a", "b"};
    struct store_submit items[2];
    for (int i = 0; i < 2; i++) {
        items[i] = (struct store_submit){.job_id = "same", .user_id = users[i], .message = "m"};
        add(&items[i]);
    }
    wait_all();
    int winner = items[0].error ? 1 : 0;
    assert_int_equal(items[winner].error, ERR_OK);
    assert_int_equal(items[!winner].error, ERR_CONFLICT);
    expect_sql("SELECT user_id FROM job_data", users[winner]);
}

/* A submit that came again while the first waits: whichever of the two counts, the run goes to the
 * session that holds it and to no other. */
static void a_doubled_submit_runs_in_one_session(void **state)
{
    need_database(state);
    enum { JOBS = 64 };
    struct store_submit items[2 * JOBS];
    char ids[JOBS][16];
    assert_int_equal(open_session("s1"), ERR_OK);
    assert_int_equal(open_session("s2"), ERR_OK);
    for (int i = 0; i < JOBS; i++)
        snprintf(ids[i], sizeof ids[i], "j%d", i * 37 % JOBS);
    for (int i = 0; i < 2 * JOBS; i++) {
        items[i] = (struct store_submit){.job_id = ids[i * 11 % JOBS],
                                         .user_id = "u",
                                         .message = "m",
                                         .session = i < JOBS ? "s1" : "s2"};
        add(&items[i]);
    }
    wait_all();
    size_t claimed = 0;
    for (int i = 0; i < 2 * JOBS; i++) {
        char query[128];
        assert_int_equal(items[i].error, ERR_OK);
        if (!items[i].claimed)
            continue;
        claimed++;
        snprintf(query, sizeof query, "SELECT session FROM job_queue WHERE job_id = '%s'",
                 items[i].job_id);
        expect_sql(query, items[i].session);
    }
    assert_int_equal(claimed, JOBS);
}

static void keys_give_one_job(void **state)
{
    need_database(state);
    struct store_submit items[4] = {
        {.job_id = "a", .user_id = "u", .message = "m", .key = "k", .hash = "h"},
        {.job_id = "b", .user_id = "u", .message = "m", .key = "k", .hash = "h"},
        {.job_id = "c", .user_id = "u", .message = "x", .key = "k", .hash = "other"},
        {.job_id = "d", .user_id = "v", .message = "m", .key = "k", .hash = "h"},
    };
    for (int i = 0; i < 4; i++)
        add(&items[i]);
    wait_all();
    assert_int_equal(items[0].error, ERR_OK);
    assert_string_equal(items[1].existing, "a");
    assert_int_equal(items[2].error, ERR_CONFLICT);
    assert_int_equal(items[3].error, ERR_OK);
    assert_string_equal(items[3].existing, "");
    assert_string_equal(submit("e", "u", "k", "h", NULL).existing, "a");
    expect_sql("SELECT string_agg(id, ',' ORDER BY id) FROM job_data", "a,d");
}

static void a_stale_attempt_changes_nothing(void **state)
{
    need_database(state);
    open_session("s1");
    submit("j1", "u", NULL, NULL, "s1");
    assert_int_equal(finish("j1", 2, "completed").error, ERR_STALE_TOKEN);
    struct store_finish back = finish("j1", 1, "released");
    assert_int_equal(back.error, ERR_OK);
    assert_string_equal(back.fate, "released");
    assert_string_equal(back.user_id, "u");
    assert_int_equal(finish("j1", 1, "completed").error, ERR_STALE_TOKEN);
    assert_int_equal(append("j1", 1, 2, 1).error, ERR_STALE_TOKEN);
    assert_int_equal(claim("j1", "s1").attempt, 2);
    assert_int_equal(finish("j1", 1, "completed").error, ERR_STALE_TOKEN);
    assert_int_equal(finish("j1", 2, "completed").error, ERR_OK);
    assert_int_equal(finish("j1", 2, "completed").error, ERR_STALE_TOKEN);
    json_t *job = get("j1", "u");
    assert_string_equal(js_str(job, "status", ""), "completed");
    assert_string_equal(js_str(job, "result", ""), "done, \"really\"");
    assert_int_equal(js_int(json_object_get(job, "token_usage"), "total_tokens", 0), 3);
    assert_true(json_is_null(json_object_get(job, "error_message")));
    expect_sql("SELECT count(*)::text FROM job_queue", "0");
    expect_sql("SELECT env_vars::text || attempts FROM job_records", "[\"GOOGLE_ACCESS_TOKEN\"]2");
}

static void retries_end(void **state)
{
    need_database(state);
    open_session("s1");
    submit("j1", "u", NULL, NULL, "s1");
    for (int attempt = 1; attempt <= 2; attempt++) {
        assert_string_equal(finish("j1", attempt, "retry").fate, "retry");
        assert_int_equal(claim("j1", "s1").error, ERR_NOT_FOUND);
        expect_sql("SELECT (run_at > now() AND run_at < now() + interval '3 s')::text"
                   " FROM job_queue",
                   "true");
        sql("UPDATE job_queue SET run_at = now()");
        assert_int_equal(claim("j1", "s1").error, ERR_OK);
    }
    assert_string_equal(finish("j1", 3, "retry").fate, "failed");
    assert_string_equal(js_str(get("j1", "u"), "error_message", ""), "broken");
}

static void events_are_numbered_without_gaps(void **state)
{
    need_database(state);
    open_session("s1");
    submit("j1", "u", NULL, NULL, NULL);
    json_t *page = events("j1", 0, 100);
    assert_int_equal(json_array_size(json_object_get(page, "events")), 1);
    assert_int_equal(js_int(page, "last", 0), 1);
    claim("j1", "s1");
    assert_int_equal(append("j1", 1, 2, 3).last, 5);
    assert_int_equal(append("j1", 1, 2, 3).last, 5); /* repeated */
    struct store_append wrong = append("j1", 1, 3, 1);
    assert_int_equal(wrong.error, ERR_CONFLICT);
    assert_int_equal(wrong.last, 5);
    assert_int_equal(append("j1", 1, 5, 1).last, 6);
    finish("j1", 1, "failed");
    page = events("j1", 0, 100);
    assert_true(js_bool(page, "ended", false));
    assert_int_equal(js_int(page, "last", 0), 7);
    expect_event(page, 0, 1, "status", "pending");
    expect_event(page, 1, 2, "status", "running");
    expect_event(page, 2, 3, "message", NULL);
    expect_event(page, 3, 4, "tool_call", NULL);
    expect_event(page, 5, 6, "message", NULL);
    expect_event(page, 6, 7, "status", "failed");
    page = events("j1", 2, 4);
    assert_false(js_bool(page, "ended", true));
    assert_int_equal(json_array_size(json_object_get(page, "events")), 4);
    page = events("j1", 6, 4);
    expect_event(page, 0, 7, "status", "failed");
    assert_true(js_bool(page, "ended", false));
    page = events("j1", 7, 4);
    assert_int_equal(json_array_size(json_object_get(page, "events")), 0);
    assert_true(js_bool(page, "ended", false));
}

static void appends_of_one_batch_may_repeat(void **state)
{
    need_database(state);
    open_session("s1");
    submit("j1", "u", NULL, NULL, "s1");
    struct store_event event = {"message", "{}"};
    struct store_append items[2];
    for (int i = 0; i < 2; i++) {
        items[i] = (struct store_append){.job_id = "j1",
                                         .attempt = 1,
                                         .after = 2,
                                         .events = &event,
                                         .count = 1,
                                         .done = on_append};
        assert_int_equal(store_append(env->store, &items[i]), ERR_OK);
        env->waiting++;
    }
    wait_all();
    assert_int_equal(items[0].error, ERR_OK);
    assert_true(items[1].error == ERR_OVERLOADED || items[1].error == ERR_OK);
    expect_sql("SELECT count(*)::text FROM job_events", "1");
}

static bool is_asleep(void *arg)
{
    AUTOFREE char *count = NULL;
    char why[512];
    (void)arg;
    return !pg_blocking_value(env->pg,
                              "SELECT count(*)::text FROM pg_stat_activity"
                              " WHERE datname = current_database() AND wait_event = 'PgSleep'",
                              NULL, 0, &count, why) &&
           strcmp(count, "0") != 0;
}

/* A walk through the queue takes time: what it saw of j1 is no longer so when it gets there, and
 * the session that has j1 now is younger than the walk. */
static void a_reap_takes_only_what_it_saw(void **state)
{
    need_database(state);
    open_session("s0");
    open_session("s1");
    submit("j0", "u", NULL, NULL, "s0");
    submit("j1", "u", NULL, NULL, "s1");
    sql("UPDATE worker_sessions SET lease_until = now() - interval '2 s' WHERE session = 's1'");
    sql("CREATE OR REPLACE FUNCTION wait_at(text) RETURNS boolean LANGUAGE sql VOLATILE AS"
        " 'SELECT pg_sleep(CASE $1 WHEN ''s0'' THEN 1 ELSE 0 END) IS NOT NULL'");
    sql("ALTER TABLE worker_sessions RENAME TO hidden_sessions");
    sql("CREATE VIEW worker_sessions AS SELECT * FROM hidden_sessions WHERE wait_at(session)");
    env->waiting++;
    store_reap(env->store, on_changes, NULL);
    bool asleep = loop_run_until(env->loop, is_asleep, NULL, WAIT_MS);
    sql("INSERT INTO hidden_sessions SELECT 's2', instance, host, version, capacity,"
        " now() + interval '1 minute' FROM hidden_sessions WHERE session = 's0'");
    sql("UPDATE job_queue SET session = 's2', attempt = 2 WHERE job_id = 'j1'");
    bool done = loop_run_until(env->loop, quiet, env, WAIT_MS);
    sql("DROP VIEW worker_sessions");
    sql("ALTER TABLE hidden_sessions RENAME TO worker_sessions");
    assert_true(asleep && done);
    assert_int_equal(changes_error, ERR_OK);
    expect_sql("SELECT state || session FROM job_queue WHERE job_id = 'j1'", "1s2");
}

static void the_dead_are_reaped(void **state)
{
    need_database(state);
    open_session("s1");
    open_session("s2");
    submit("j1", "u", NULL, NULL, "s1");
    submit("j2", "u", NULL, NULL, "s2");
    submit("j3", "u", NULL, NULL, NULL);
    sql("UPDATE worker_sessions SET lease_until = now() - interval '2 s' WHERE session = 's1'");
    env->waiting++;
    store_reap(env->store, on_changes, NULL);
    wait_all();
    assert_int_equal(changes_error, ERR_OK);
    assert_int_equal(change_count, 1);
    assert_string_equal(first_id, "j1");
    assert_true(first_change.queued);
    assert_int_equal(finish("j1", 1, "completed").error, ERR_STALE_TOKEN);
    assert_string_equal(js_str(get("j1", "u"), "status", ""), "pending");
    assert_int_equal(open_session("s1"), ERR_STALE_TOKEN);
    assert_int_equal(claim("j1", "s1").error, ERR_NOT_FOUND);
    assert_int_equal(claim("j1", "s2").attempt, 2);
    /* Past its deadline, and lost too often. */
    sql("UPDATE job_queue SET deadline = now() - interval '31 s' WHERE job_id = 'j2'");
    sql("UPDATE job_queue SET losses = 19, session = 'gone' WHERE job_id = 'j1'");
    env->waiting++;
    store_reap(env->store, on_changes, NULL);
    wait_all();
    assert_int_equal(change_count, 2);
    assert_string_equal(js_str(get("j2", "u"), "status", ""), "failed");
    assert_string_equal(js_str(get("j2", "u"), "error_message", ""), "The job timed out.");
    assert_non_null(strstr(js_str(get("j1", "u"), "error_message", ""), "lost 20 times"));
    assert_true(js_bool(events("j1", 0, 10), "ended", false));
}

static void on_renew(struct store_renew *item)
{
    (void)item;
    count_down();
}

static size_t missing_count;
static void on_missing(void *arg, enum err error, const struct store_run *runs, size_t count)
{
    (void)arg;
    assert_int_equal(error, ERR_OK);
    missing_count = count;
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(runs[i].job_id, "j2");
        assert_string_equal(runs[i].instance, "0123456789abcdef");
        assert_true(runs[i].time_ms > 50000 && runs[i].time_ms <= 60000);
    }
    count_down();
}

static void leases_are_renewed_while_they_last(void **state)
{
    need_database(state);
    open_session("s1");
    submit("j1", "u", NULL, NULL, "s1");
    submit("j2", "u", NULL, NULL, "s1");
    AUTOJSON json_t *held = json_pack("[{s:s, s:i}, {s:s, s:i}]", "job_id", "j1", "attempt", 1,
                                      "job_id", "gone", "attempt", 1);
    struct store_renew item = {.session = "s1", .held = held, .done = on_renew};
    assert_int_equal(store_renew(env->store, &item), ERR_OK);
    env->waiting++;
    wait_all();
    assert_int_equal(item.error, ERR_OK);
    assert_int_equal(json_array_size(item.ret_held), 1);
    assert_string_equal(js_str(json_array_get(item.ret_held, 0), "job_id", ""), "j1");
    json_decref(item.ret_held);
    sql("UPDATE job_queue SET claimed_at = now() - interval '3 s'");
    env->waiting++;
    store_missing(env->store, "s1", held, item.renewed_at, on_missing, NULL);
    wait_all();
    assert_int_equal(missing_count, 1);
    sql("UPDATE worker_sessions SET lease_until = now()");
    assert_int_equal(store_renew(env->store, &item), ERR_OK);
    env->waiting++;
    wait_all();
    assert_int_equal(item.error, ERR_STALE_TOKEN);
    json_decref(item.ret_held);
    expect_sql("SELECT (lease_until < now())::text FROM worker_sessions", "true");
}

static void a_closed_session_releases(void **state)
{
    need_database(state);
    open_session("s1");
    submit("j1", "u", NULL, NULL, "s1");
    env->waiting++;
    store_session_close(env->store, "s1", on_changes, NULL);
    wait_all();
    assert_int_equal(change_count, 1);
    assert_true(first_change.queued);
    expect_sql("SELECT state || ',' || losses || ',' || failures FROM job_queue", "0,0,0");
    assert_int_equal(open_session("s1"), ERR_STALE_TOKEN);
}

static void cancelling_ends_at_once(void **state)
{
    need_database(state);
    open_session("s1");
    submit("j1", "u", NULL, NULL, "s1");
    submit("j2", "u", NULL, NULL, NULL);
    for (int i = 1; i <= 2; i++) {
        char id[16];
        snprintf(id, sizeof id, "j%d", i);
        env->waiting++;
        store_cancel(env->store, id, "other", on_changes, NULL);
        wait_all();
        assert_int_equal(change_count, 0);
        env->waiting++;
        store_cancel(env->store, id, "u", on_changes, NULL);
        wait_all();
        assert_int_equal(change_count, 1);
        assert_true(first_change.ended);
        assert_string_equal(first_instance, i == 1 ? "0123456789abcdef" : "");
        assert_string_equal(js_str(get(id, "u"), "status", ""), "cancelled");
        json_t *page = events(id, 0, 10);
        assert_int_equal(js_int(page, "last", 0), i == 1 ? 3 : 2);
        assert_true(js_bool(page, "ended", false));
        env->waiting++;
        store_cancel(env->store, id, "u", on_changes, NULL);
        wait_all();
        assert_int_equal(change_count, 0);
    }
    assert_int_equal(finish("j1", 1, "completed").error, ERR_STALE_TOKEN);
}

static void lists_pages_and_forgetting(void **state)
{
    need_database(state);
    for (int i = 0; i < 5; i++) {
        char id[16];
        snprintf(id, sizeof id, "j%d", i);
        submit(id, "u", NULL, NULL, NULL);
    }
    submit("other", "v", NULL, NULL, NULL);
    sql("UPDATE job_data SET message = repeat('é', 5000) WHERE id = 'j4'");
    env->waiting++;
    store_list(env->store, "u", 2, 0, "", WAIT_MS, on_read, NULL);
    wait_all();
    assert_int_equal(js_int(read_result, "total", 0), 5);
    json_t *jobs = json_object_get(read_result, "jobs");
    assert_int_equal(json_array_size(jobs), 2);
    assert_string_equal(js_str(json_array_get(jobs, 0), "job_id", ""), "j4");
    assert_true(strlen(js_str(json_array_get(jobs, 0), "message", "")) < 4200);
    sql("UPDATE job_data SET message = repeat(chr(1), 5000), result = repeat(chr(1), 5000),"
        " error_message = repeat(chr(1), 5000) WHERE id = 'j4'");
    env->waiting++;
    store_list(env->store, "u", 1, 0, "", WAIT_MS, on_read, NULL);
    wait_all();
    assert_true(json_dumpb(read_result, NULL, 0, 0) < 32000);
    env->waiting++;
    store_list(env->store, "u", 20, 100, "", WAIT_MS, on_read, NULL);
    wait_all();
    assert_int_equal(js_int(read_result, "total", 0), 5);
    assert_int_equal(json_array_size(json_object_get(read_result, "jobs")), 0);
    env->waiting++;
    store_list(env->store, "u", 20, 0, "running", WAIT_MS, on_read, NULL);
    wait_all();
    assert_int_equal(json_array_size(json_object_get(read_result, "jobs")), 0);
    env->waiting++;
    store_scan(env->store, 3, 100, on_changes, NULL);
    wait_all();
    assert_int_equal(change_count, 4);
    env->waiting++;
    store_forget(env->store, "u", on_changes, NULL);
    wait_all();
    assert_int_equal(change_count, 5);
    expect_sql("SELECT string_agg(id, ',') FROM job_records", "other");
    expect_sql("SELECT string_agg(job_id, ',') FROM job_queue", "other");
}

static int64_t swept[2];
static void on_count(void *arg, enum err error, int64_t a, int64_t b)
{
    (void)arg;
    assert_int_equal(error, ERR_OK);
    swept[0] = a;
    swept[1] = b;
    count_down();
}

static int64_t listed(const char *user, const char *status)
{
    env->waiting++;
    store_list(env->store, user, 20, 0, status, WAIT_MS, on_read, NULL);
    wait_all();
    assert_int_equal(read_error, ERR_OK);
    return js_int(read_result, "total", -1);
}

static const char *first_listed(void)
{
    return js_str(json_array_get(json_object_get(read_result, "jobs"), 0), "job_id", "");
}

/* When the count that a list began in the background is over. */
static void count_on(void)
{
    sql("SELECT pg_advisory_lock(779026157, 1); SELECT job_totals_advance('u');"
        " SELECT pg_advisory_unlock(779026157, 1)");
}

static void totals_are_exact(void **state)
{
    need_database(state);
    sql("INSERT INTO job_data (id, user_id, message, created_at) SELECT n, 'u', 'm', now() - n *"
        " interval '100 ms' FROM generate_series(1, 3000) n");
    sql("INSERT INTO job_data (id, user_id, message, created_at) VALUES"
        " ('a', 'u', 'm', '-infinity'), ('z', 'u', 'm', 'infinity'), ('v', 'v', 'm', now())");
    assert_int_equal(listed("u", ""), 3002);
    count_on();
    /* The last ten seconds are still counted each time. */
    expect_sql("SELECT (n BETWEEN 2890 AND 2980)::text FROM job_totals", "true");
    assert_int_equal(listed("u", ""), 3002);
    sql("DELETE FROM job_data WHERE id IN ('a', 'z', '3000', '1', 'v')");
    assert_int_equal(listed("u", ""), 2998);
    sql("DELETE FROM job_data WHERE user_id = 'u' AND created_at < now() - interval '1 minute'");
    expect_sql("SELECT (SELECT n FROM job_totals) = (SELECT count(*) FROM job_data d, job_totals t"
               " WHERE created_at < up_to)",
               "t");
    /* A clock that was put back. */
    sql("UPDATE job_totals SET up_to = now() + interval '1 hour', n = 7");
    count_on();
    expect_sql("SELECT (SELECT n FROM job_totals) = (SELECT count(*) FROM job_data d, job_totals t"
               " WHERE created_at < up_to)",
               "t");
    sql("DELETE FROM job_data");
    expect_sql("SELECT count(*)::text FROM job_totals", "0");
    assert_int_equal(listed("u", ""), 0);
}

static void lists_by_status(void **state)
{
    need_database(state);
    open_session("s1");
    for (int i = 0; i < 5; i++) {
        char id[16];
        snprintf(id, sizeof id, "j%d", i);
        submit(id, "u", NULL, NULL, i ? "s1" : NULL);
    }
    finish("j2", 1, "completed");
    finish("j3", 1, "failed");
    env->waiting++;
    store_cancel(env->store, "j4", "u", on_changes, NULL);
    wait_all();
    static const char *const statuses[] = {"pending", "running", "completed", "failed",
                                           "cancelled"};
    for (int i = 0; i < 5; i++) {
        char id[16];
        snprintf(id, sizeof id, "j%d", i);
        assert_int_equal(listed("u", statuses[i]), 5);
        assert_int_equal(json_array_size(json_object_get(read_result, "jobs")), 1);
        assert_string_equal(first_listed(), id);
        listed("v", statuses[i]);
        assert_int_equal(json_array_size(json_object_get(read_result, "jobs")), 0);
    }
    listed("u", "unknown");
    assert_int_equal(json_array_size(json_object_get(read_result, "jobs")), 0);
    sql("DELETE FROM job_data WHERE id = 'j3'");
    expect_sql("SELECT string_agg(id, ',') FROM job_mishaps", "j4");
}

static struct store_swept went;
static void on_swept(void *arg, enum err error, const struct store_swept *swept_rows)
{
    (void)arg;
    assert_int_equal(error, ERR_OK);
    went = *swept_rows;
    count_down();
}

static void sweep(int64_t days)
{
    sql("UPDATE job_upkeep SET next_at = now()");
    env->waiting++;
    store_sweep(env->store, days, 30000, on_swept, NULL);
    wait_all();
}

static void old_rows_are_swept(void **state)
{
    need_database(state);
    open_session("s1");
    submit("j1", "u", "k", "h", "s1");
    submit("j2", "u", NULL, NULL, "s1");
    append("j1", 1, 2, 3);
    finish("j1", 1, "completed");
    env->waiting++;
    store_counts(env->store, on_count, NULL);
    wait_all();
    assert_int_equal(swept[0], 0);
    assert_int_equal(swept[1], 1);
    /* Both are old, and one of the original's may say that it has ended while it waits. */
    sql("UPDATE job_data SET created_at = now() - interval '3 days',"
        " completed_at = now() - interval '3 days'");
    sql("UPDATE job_idempotency SET created_at = now() - interval '2 days'");
    sweep(0);
    assert_int_equal(went.jobs, 0);
    assert_int_equal(went.others, 1);
    assert_true(went.wait_ms > 60000);
    sweep(4);
    assert_int_equal(went.jobs, 0);
    sweep(2);
    assert_int_equal(went.jobs, 1);
    expect_sql("SELECT string_agg(id, ',') FROM job_records", "j2");
    expect_sql("SELECT count(*)::text FROM job_events", "0");
    assert_int_equal(finish("j2", 1, "completed").error, ERR_OK);
}

static void a_sweep_goes_on_where_it_was(void **state)
{
    need_database(state);
    sql("INSERT INTO job_data (id, user_id, message, status, created_at, completed_at)"
        " SELECT n, 'u' || n % 250, 'm', 'completed', now() - interval '2 days', now() -"
        " interval '2 days' FROM generate_series(1, 1300) n");
    sql("INSERT INTO job_data (id, user_id, message, status, created_at, completed_at)"
        " VALUES ('new', 'u7', 'm', 'completed', now() - interval '2 days', now())");
    int batches = 0;
    for (; batches < 10; batches++) {
        sweep(1);
        if (went.wait_ms > 60000)
            break;
        assert_true(went.jobs > 0 && went.jobs <= STORE_SWEEP_JOBS);
        /* Not before the pause is over. */
        env->waiting++;
        store_sweep(env->store, 1, 30000, on_swept, NULL);
        wait_all();
        assert_int_equal(went.jobs, 0);
    }
    assert_in_range(batches, 2, 6);
    expect_sql("SELECT string_agg(id, ',') FROM job_data", "new");
    expect_sql("SELECT place_user || place_at FROM job_upkeep", "-infinity");
}

/* Does a statement of the store's wait for the transaction that the test has open? */
static bool is_waiting(void *arg)
{
    AUTOFREE char *count = NULL;
    char why[512] = "";
    (void)arg;
    return !pg_blocking_value(env->pg,
                              "SELECT count(*)::text FROM pg_locks WHERE NOT granted"
                              " AND transactionid = pg_current_xact_id()::xid",
                              NULL, 0, &count, why) &&
           strcmp(count, "0") != 0;
}

/* What the run added while the deletion waited for it. */
static void late_events_are_forgotten(void **state)
{
    need_database(state);
    open_session("s1");
    submit("j1", "u", NULL, NULL, "s1");
    sql("BEGIN; UPDATE job_queue SET events = 3;"
        " INSERT INTO job_events (job_id, seq, type, data) VALUES ('j1', 3, 'message', '{}')");
    env->waiting++;
    store_forget(env->store, "u", on_changes, NULL);
    assert_true(loop_run_until(env->loop, is_waiting, NULL, WAIT_MS));
    sql("COMMIT");
    wait_all();
    assert_int_equal(changes_error, ERR_OK);
    expect_sql("SELECT count(*)::text FROM job_data", "0");
    expect_sql("SELECT count(*)::text FROM job_events", "0");
}

/* While it waits for a row, a batch holds none behind it: else two that wait for each other. */
static void ends_lock_in_the_order_of_ids(void **state)
{
    need_database(state);
    open_session("s1");
    submit("j1", "u", NULL, NULL, "s1");
    submit("j2", "u", NULL, NULL, "s1");
    struct store_finish items[] = {
        {.job_id = "j2", .attempt = 1, .outcome = "completed", .done = on_finish},
        {.job_id = "j1", .attempt = 1, .outcome = "released", .done = on_finish},
    };
    sql("BEGIN; SELECT FROM job_queue WHERE job_id = 'j1' FOR UPDATE");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_finish(env->store, &items[i]), ERR_OK);
        env->waiting++;
    }
    assert_true(loop_run_until(env->loop, is_waiting, NULL, WAIT_MS));
    sql("SELECT FROM job_queue WHERE job_id = 'j2' FOR UPDATE NOWAIT; COMMIT");
    wait_all();
    assert_string_equal(items[0].fate, "completed");
    assert_string_equal(items[1].fate, "released");
}

static void submits_take_their_keys_first(void **state)
{
    need_database(state);
    struct store_submit items[] = {
        {.job_id = "j1", .user_id = "u", .message = "m"},
        {.job_id = "j2", .user_id = "u", .message = "m", .key = "k", .hash = "h"},
    };
    sql("BEGIN; INSERT INTO job_idempotency (user_id, key, hash, job_id) VALUES ('u', 'k', 'x', 'x')");
    add(&items[0]);
    add(&items[1]);
    assert_true(loop_run_until(env->loop, is_waiting, NULL, WAIT_MS));
    sql("SET LOCAL lock_timeout = '100ms';"
        " INSERT INTO job_data (id, user_id, message) VALUES ('j1', 'u', 'm'); ROLLBACK");
    wait_all();
    assert_int_equal(items[0].error, ERR_OK);
    assert_int_equal(items[1].error, ERR_OK);
    assert_string_equal(items[1].existing, "");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_is_claimed_once),
        TEST(a_submit_claims_for_a_live_session),
        TEST(a_known_id_fails_no_other_of_its_batch),
        TEST(an_id_that_two_users_take_is_one_user_s),
        TEST(a_doubled_submit_runs_in_one_session),
        TEST(keys_give_one_job),
        TEST(a_stale_attempt_changes_nothing),
        TEST(retries_end),
        TEST(events_are_numbered_without_gaps),
        TEST(appends_of_one_batch_may_repeat),
        TEST(the_dead_are_reaped),
        TEST(a_reap_takes_only_what_it_saw),
        TEST(leases_are_renewed_while_they_last),
        TEST(a_closed_session_releases),
        TEST(cancelling_ends_at_once),
        TEST(lists_pages_and_forgetting),
        TEST(old_rows_are_swept),
        TEST(a_sweep_goes_on_where_it_was),
        TEST(totals_are_exact),
        TEST(lists_by_status),
        TEST(late_events_are_forgotten),
        TEST(ends_lock_in_the_order_of_ids),
        TEST(submits_take_their_keys_first),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(read_result);
    return failed;
}
