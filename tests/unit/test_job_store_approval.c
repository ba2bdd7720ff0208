/* The store's statements against PostgreSQL: options, conversations, and jobs that wait for
 * approval. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "tests/unit/job_store_fixture.h"

static struct store_submit submit_more(const char *id, const char *options,
                                       const char *conversation, const char *key,
                                       const char *session)
{
    struct store_submit item = {.job_id = id,
                                .user_id = "u",
                                .message = "List my \"mails\" \\o/",
                                .key = key,
                                .hash = key ? "h" : NULL,
                                .session = session,
                                .options = options,
                                .conversation_id = conversation};
    add(&item);
    wait_all();
    return item;
}

static char claimed_options[128], claimed_conversation[64], claimed_usage[128];

static void on_claim_more(struct store_claim *item)
{
    snprintf(claimed_options, sizeof claimed_options, "%s", item->options ? item->options : "-");
    snprintf(claimed_conversation, sizeof claimed_conversation, "%s",
             item->conversation_id ? item->conversation_id : "-");
    snprintf(claimed_usage, sizeof claimed_usage, "%s", item->usage ? item->usage : "-");
    count_down();
}

static struct store_claim claim_more(const char *id)
{
    struct store_claim item = {.done = on_claim_more};
    snprintf(item.job_id, sizeof item.job_id, "%s", id);
    snprintf(item.session, sizeof item.session, "s1");
    assert_int_equal(store_claim(env->store, &item), ERR_OK);
    env->waiting++;
    wait_all();
    return item;
}

static char asking[] =
    "{\"calls\": [{\"id\": \"c1\", \"name\": \"send\", \"arguments\": {\"to\": \"a\"}},"
    " {\"id\": \"c2\", \"name\": \"drop\", \"arguments\": {}}], \"usage\": {\"total_tokens\": 7}}";

static void ask(const char *id, int64_t attempt, int64_t after)
{
    struct store_event event = {"waiting_approval", asking};
    struct store_append item = {.job_id = id,
                                .attempt = attempt,
                                .after = after,
                                .events = &event,
                                .count = 1,
                                .done = on_append};
    assert_int_equal(store_append(env->store, &item), ERR_OK);
    env->waiting++;
    wait_all();
    assert_int_equal(item.error, ERR_OK);
}

static struct store_finish park_item(const char *id, int64_t attempt)
{
    return (struct store_finish){.job_id = id,
                                 .attempt = attempt,
                                 .outcome = "waiting",
                                 .token_usage = "{\"total_tokens\": 7}",
                                 .done = on_finish};
}

static struct store_finish park(const char *id, int64_t attempt)
{
    struct store_finish item = park_item(id, attempt);
    assert_int_equal(store_park(env->store, &item), ERR_OK);
    env->waiting++;
    wait_all();
    return item;
}

static size_t decide(const char *id, const char *user, const char *call_ids)
{
    env->waiting++;
    store_decide(env->store, id, user, "{\"decision\": \"approve\"}", call_ids, on_changes, NULL);
    wait_all();
    assert_int_equal(changes_error, ERR_OK);
    return change_count;
}

/* A job that runs in session s1 and has asked; its last event is number 3. */
static void a_job_that_asks(const char *id)
{
    assert_int_equal(open_session("s1"), ERR_OK);
    assert_true(submit("j1", "u", NULL, NULL, "s1").claimed || strcmp(id, "j1") != 0);
    ask(id, 1, 2);
}

static void options_go_to_the_run(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s1"), ERR_OK);
    assert_false(submit_more("j1", "{\"model\":\"m\"}", "talk", NULL, NULL).claimed);
    assert_int_equal(claim_more("j1").error, ERR_OK);
    assert_string_equal(claimed_options, "{\"model\":\"m\"}");
    assert_string_equal(claimed_conversation, "talk");
    assert_string_equal(claimed_usage, "-");
    assert_true(submit_more("j2", "{\"max_turns\":3}", NULL, "k", "s1").claimed);
    assert_string_equal(submit_more("j3", "{\"max_turns\":3}", NULL, "k", NULL).existing, "j2");
    assert_string_equal(submit_more("j2", NULL, "talk", NULL, NULL).existing, "j2");
    submit("j4", "u", NULL, NULL, NULL);
    assert_int_equal(claim_more("j4").error, ERR_OK);
    assert_string_equal(claimed_options, "-");
    assert_string_equal(js_str(get("j1", "u"), "conversation_id", ""), "talk");
    assert_null(json_object_get(get("j4", "u"), "conversation_id"));
    expect_sql("SELECT string_agg(id, ',') FROM job_conversations", "j1");
}

static json_t *turns(const char *user, const char *conversation, const char *before, int64_t limit)
{
    env->waiting++;
    store_conversation(env->store, user, conversation, before, limit, WAIT_MS, on_read, NULL);
    wait_all();
    assert_int_equal(read_error, ERR_OK);
    return json_object_get(read_result, "turns");
}

static void expect_turns(const json_t *is, const char *want)
{
    char text[128] = "";
    for (size_t i = 0; i < json_array_size(is); i++) {
        strcat(text, js_str(json_array_get(is, i), "job_id", ""));
        strcat(text, " ");
    }
    assert_string_equal(text, want);
}

static void conversations_have_their_completed_turns(void **state)
{
    need_database(state);
    static const char *const outcomes[] = {"completed", "failed", "completed", "completed"};
    assert_int_equal(open_session("s1"), ERR_OK);
    for (int i = 0; i < 4; i++) {
        char id[8];
        snprintf(id, sizeof id, "j%d", i);
        assert_true(submit_more(id, NULL, "talk", NULL, "s1").claimed);
        assert_int_equal(finish(id, 1, outcomes[i]).error, ERR_OK);
    }
    submit_more("other", NULL, "walk", NULL, NULL);
    submit_more("j9", NULL, "talk", NULL, NULL);
    expect_turns(turns("u", "talk", "j9", 10), "j0 j2 j3 ");
    expect_turns(turns("u", "talk", "j9", 2), "j2 j3 ");
    expect_turns(turns("u", "talk", "j2", 10), "j0 ");
    expect_turns(turns("u", "walk", "j9", 10), "");
    expect_turns(turns("thief", "talk", "j9", 10), "");
    expect_turns(turns("u", "talk", "nowhere", 10), "");
    const json_t *turn = json_array_get(turns("u", "talk", "j9", 10), 0);
    assert_string_equal(js_str(turn, "message", ""), "List my \"mails\" \\o/");
    assert_string_equal(js_str(turn, "result", ""), "done, \"really\"");
    /* What is too much is left out from the oldest on; one text is cut. */
    sql("UPDATE job_data SET result = repeat('x', 300000) WHERE id IN ('j0', 'j2');"
        "UPDATE job_data SET message = repeat('y', 250000) WHERE id IN ('j0', 'j2', 'j3')");
    assert_int_equal(json_array_size(turns("u", "talk", "j9", 10)), 3);
    turn = json_array_get(turns("u", "talk", "j9", 10), 0);
    assert_true(strlen(js_str(turn, "result", "")) < 65536 + 32);
    sql("DELETE FROM job_data WHERE id = 'j2'");
    expect_turns(turns("u", "talk", "j9", 10), "j0 j3 ");
    expect_sql("SELECT count(*)::text FROM job_conversations", "5");
}

static void a_conversation_is_listed(void **state)
{
    need_database(state);
    submit_more("a", NULL, "talk", NULL, NULL);
    submit_more("b", NULL, "talk", NULL, NULL);
    submit_more("c", NULL, "walk", NULL, NULL);
    env->waiting++;
    store_list_conversation(env->store, "u", 1, 0, "talk", WAIT_MS, on_read, NULL);
    wait_all();
    assert_int_equal(js_int(read_result, "total", 0), 2);
    expect_turns(json_object_get(read_result, "jobs"), "b ");
}

static void a_parked_job_waits_for_its_user(void **state)
{
    need_database(state);
    a_job_that_asks("j1");
    struct store_finish parked = park("j1", 1);
    assert_int_equal(parked.error, ERR_OK);
    assert_string_equal(parked.fate, "waiting");
    assert_int_equal(park("j1", 1).error, ERR_STALE_TOKEN);
    assert_int_equal(finish("j1", 1, "completed").error, ERR_STALE_TOKEN);
    assert_int_equal(append("j1", 1, 3, 1).error, ERR_STALE_TOKEN);
    assert_int_equal(claim("j1", "s1").error, ERR_NOT_FOUND);
    expect_sql("SELECT status FROM job_records", "running");
    expect_sql("SELECT session FROM job_queue", "NULL");
    const json_t *job = get("j1", "u");
    assert_string_equal(js_str(job, "status", ""), "running");
    assert_int_equal(json_array_size(json_object_get(job, "waiting_approval")), 2);
    assert_int_equal(js_int(json_object_get(job, "token_usage"), "total_tokens", 0), 7);

    assert_int_equal(decide("j1", "thief", NULL), 0);
    assert_int_equal(decide("j1", "u", "{\"c1\",\"other\"}"), 0);
    assert_int_equal(decide("j1", "u", "{\"c2\"}"), 1);
    assert_true(first_change.queued);
    assert_int_equal(decide("j1", "u", NULL), 0);
    expect_sql("SELECT status FROM job_records", "pending");
    assert_null(json_object_get(get("j1", "u"), "waiting_approval"));
    json_t *all = events("j1", 2, 10);
    assert_int_equal(json_array_size(json_object_get(all, "events")), 2);
    expect_event(all, 0, 3, "waiting_approval", NULL);
    expect_event(all, 1, 4, "approval", NULL);
    struct store_claim again = claim_more("j1");
    assert_int_equal(again.attempt, 2);
    assert_int_equal(again.events, 4);
    assert_string_equal(claimed_usage, "{\"total_tokens\": 7}");
    expect_sql("SELECT failures || ' ' || losses FROM job_queue", "0 0");
}

static void nobody_parks_without_asking(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s1"), ERR_OK);
    assert_true(submit("j1", "u", NULL, NULL, "s1").claimed);
    assert_string_equal(park("j1", 1).fate, "unasked");
    ask("j1", 1, 2);
    assert_int_equal(append("j1", 1, 3, 1).error, ERR_OK);
    assert_string_equal(park("j1", 1).fate, "unasked");
    assert_int_equal(park("j1", 2).error, ERR_STALE_TOKEN);
    expect_sql("SELECT state::text FROM job_queue", "1");
}

static void parked_jobs_are_bounded(void **state)
{
    need_database(state);
    a_job_that_asks("j1");
    sql("INSERT INTO job_queue (job_id, user_id, state) SELECT 'p' || n, 'u', 2"
        " FROM generate_series(1, 1000) n");
    assert_string_equal(park("j1", 1).fate, "crowded");
    expect_sql("SELECT state::text FROM job_queue WHERE job_id = 'j1'", "1");
    sql("UPDATE job_queue SET user_id = 'other' WHERE job_id IN ('p1', 'p2')");
    assert_true(submit("j2", "u", NULL, NULL, "s1").claimed);
    assert_true(submit("j3", "u", NULL, NULL, "s1").claimed);
    ask("j2", 1, 2);
    ask("j3", 1, 2);
    struct store_finish items[3] = {park_item("j1", 1), park_item("j2", 1), park_item("j3", 1)};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(store_park(env->store, &items[i]), ERR_OK);
        env->waiting++;
    }
    wait_all();
    expect_sql("SELECT count(*)::text FROM job_queue WHERE state = 2 AND user_id = 'u'", "1000");
}

static void reap(void)
{
    env->waiting++;
    store_reap(env->store, on_changes, NULL);
    wait_all();
    assert_int_equal(changes_error, ERR_OK);
}

static void a_parked_job_ends(void **state)
{
    need_database(state);
    a_job_that_asks("j1");
    assert_string_equal(park("j1", 1).fate, "waiting");
    sql("DELETE FROM worker_sessions");
    reap();
    assert_int_equal(change_count, 0);
    sql("UPDATE job_queue SET deadline = now() - interval '1 second'");
    assert_int_equal(decide("j1", "u", NULL), 0);
    reap();
    assert_int_equal(change_count, 1);
    assert_true(first_change.ended);
    const json_t *job = get("j1", "u");
    assert_string_equal(js_str(job, "status", ""), "failed");
    assert_string_equal(js_str(job, "error_message", ""),
                        "Nobody approved or denied the tool calls in time.");
    assert_int_equal(decide("j1", "u", NULL), 0);
    json_t *all = events("j1", 2, 10);
    expect_event(all, 0, 3, "waiting_approval", NULL);
    expect_event(all, 1, 4, "status", "failed");
}

static void a_parked_job_is_cancelled_and_forgotten(void **state)
{
    need_database(state);
    a_job_that_asks("j1");
    assert_string_equal(park("j1", 1).fate, "waiting");
    env->waiting++;
    store_cancel(env->store, "j1", "u", on_changes, NULL);
    wait_all();
    assert_int_equal(change_count, 1);
    assert_string_equal(js_str(get("j1", "u"), "status", ""), "cancelled");
    assert_int_equal(decide("j1", "u", NULL), 0);
    assert_true(submit("j2", "u", NULL, NULL, "s1").claimed);
    ask("j2", 1, 2);
    assert_string_equal(park("j2", 1).fate, "waiting");
    env->waiting++;
    store_forget(env->store, "u", on_changes, NULL);
    wait_all();
    assert_int_equal(decide("j2", "u", NULL), 0);
    expect_sql(
        "SELECT (SELECT count(*) FROM job_queue) || ' ' || (SELECT count(*) FROM job_events)",
        "0 0");
}

/* What an attempt used counts, though nobody lived to say it. */
static void usage_is_read_from_the_events(void **state)
{
    need_database(state);
    struct store_event calls[2] = {
        {"tool_call", "{\"usage\": {\"total_tokens\": 40}}"},
        {"tool_call", "{\"usage\": {\"total_tokens\": 90, \"cached_tokens\": 5}}"}};
    struct store_append item = {
        .job_id = "j1", .attempt = 1, .after = 2, .events = calls, .count = 2, .done = on_append};
    assert_int_equal(open_session("s1"), ERR_OK);
    assert_true(submit("j1", "u", NULL, NULL, "s1").claimed);
    assert_int_equal(store_append(env->store, &item), ERR_OK);
    env->waiting++;
    wait_all();
    sql("UPDATE job_queue SET deadline = now() - interval '1 hour'");
    reap();
    assert_int_equal(js_int(json_object_get(get("j1", "u"), "token_usage"), "total_tokens", 0), 90);
    assert_null(json_object_get(json_object_get(get("j1", "u"), "token_usage"), "cached_tokens"));
    expect_sql("SELECT job_usage('j1', '{\"total_tokens\": 100}')->>'total_tokens'", "100");
    expect_sql("SELECT job_usage('j1', '{\"total_tokens\": \"many\"}')->>'total_tokens'", "90");
    expect_sql("SELECT job_usage('none', '[1]')::text", "[1]");
    expect_sql("SELECT job_usage('none', NULL)::text", "NULL");
}

static void lists_show_what_waits(void **state)
{
    need_database(state);
    a_job_that_asks("j1");
    assert_string_equal(park("j1", 1).fate, "waiting");
    env->waiting++;
    store_list(env->store, "u", 10, 0, "running", WAIT_MS, on_read, NULL);
    wait_all();
    const json_t *job = json_array_get(json_object_get(read_result, "jobs"), 0);
    const json_t *call = json_array_get(json_object_get(job, "waiting_approval"), 0);
    assert_non_null(json_object_get(call, "arguments"));
    sql("UPDATE job_events SET data = json_build_object('calls', json_build_array("
        "json_build_object('id', 'c', 'name', 'n', 'arguments', repeat('x', 5000))))");
    env->waiting++;
    store_list(env->store, "u", 10, 0, "", WAIT_MS, on_read, NULL);
    wait_all();
    job = json_array_get(json_object_get(read_result, "jobs"), 0);
    call = json_array_get(json_object_get(job, "waiting_approval"), 0);
    assert_string_equal(js_str(call, "name", ""), "n");
    assert_null(json_object_get(call, "arguments"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_go_to_the_run),
        TEST(conversations_have_their_completed_turns),
        TEST(a_conversation_is_listed),
        TEST(a_parked_job_waits_for_its_user),
        TEST(nobody_parks_without_asking),
        TEST(parked_jobs_are_bounded),
        TEST(a_parked_job_ends),
        TEST(a_parked_job_is_cancelled_and_forgotten),
        TEST(usage_is_read_from_the_events),
        TEST(lists_show_what_waits),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(read_result);
    return failed;
}
