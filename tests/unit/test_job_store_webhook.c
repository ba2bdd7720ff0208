/* The store's statements against PostgreSQL: what is to be told of jobs, and who tells it. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "services/jobs/store_webhook.h"
#include "tests/unit/job_store_fixture.h"

static const char url[] = "https://App.Example:8443/hook?key=1";

static struct store_submit submit_told(const char *id, const char *user, const char *session)
{
    struct store_submit item = {.job_id = id,
                                .user_id = user,
                                .message = "List my \"mails\" \\o/",
                                .session = session,
                                .callback_url = url};
    add(&item);
    wait_all();
    return item;
}

static void expect_told(const char *want)
{
    expect_sql("SELECT coalesce(string_agg(job_id || ' ' || type, ', ' ORDER BY job_id, created_at,"
               " type), '') FROM job_webhooks",
               want);
}

static void reap(void)
{
    env->waiting++;
    store_reap(env->store, on_changes, NULL);
    wait_all();
}

static void each_end_is_told_of(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s1"), ERR_OK);
    for (int i = 1; i <= 6; i++) {
        char id[8];
        snprintf(id, sizeof id, "j%d", i);
        assert_true(submit_told(id, "u", "s1").claimed);
    }
    expect_told("");
    assert_int_equal(finish("j1", 1, "completed").error, ERR_OK);
    assert_int_equal(finish("j1", 1, "completed").error, ERR_STALE_TOKEN);
    assert_int_equal(finish("j2", 1, "failed").error, ERR_OK);
    assert_int_equal(finish("j3", 1, "retry").error, ERR_OK);
    assert_int_equal(finish("j4", 1, "released").error, ERR_OK);
    env->waiting++;
    store_cancel(env->store, "j5", "u", on_changes, NULL);
    wait_all();
    expect_told("j1 job.completed, j2 job.failed, j5 job.cancelled");
    sql("UPDATE job_queue SET deadline = now() - interval '1 hour' WHERE job_id = 'j6'");
    reap();
    expect_told("j1 job.completed, j2 job.failed, j5 job.cancelled, j6 job.failed");
    expect_sql("SELECT string_agg(DISTINCT host || ' ' || url, ',') FROM job_webhooks",
               "app.example:8443 https://App.Example:8443/hook?key=1");
    expect_sql("SELECT count(DISTINCT id) FROM job_webhooks WHERE id ~ '^evt_[0-9a-f]{32}$'", "4");
}

static void without_an_address_nothing_is_written(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s1"), ERR_OK);
    assert_true(submit("j1", "u", NULL, NULL, "s1").claimed);
    assert_int_equal(finish("j1", 1, "completed").error, ERR_OK);
    expect_told("");
}

static void wait_for_approval(const char *id)
{
    struct store_event event = {"waiting_approval", (char[]){"{\"calls\": [{\"id\": \"c1\"}]}"}};
    struct store_append asked = {
        .job_id = id, .attempt = 1, .after = 2, .events = &event, .count = 1, .done = on_append};
    assert_int_equal(store_append(env->store, &asked), ERR_OK);
    env->waiting++;
    wait_all();
    struct store_finish parked = {.job_id = id,
                                  .attempt = 1,
                                  .outcome = "waiting",
                                  .token_usage = "{\"total_tokens\": 7}",
                                  .done = on_finish};
    assert_int_equal(store_park(env->store, &parked), ERR_OK);
    env->waiting++;
    wait_all();
    assert_string_equal(parked.fate, "waiting");
}

/* What a call of TAKE gave, as text: "ID TYPE" of each, without the events' ids. */
static char taken[1024], taken_id[STORE_WEBHOOK_ID_SIZE], taken_result[64];
static int64_t taken_attempts;

static void on_taken(void *arg, enum err error, const struct store_webhook *webhooks, size_t count)
{
    (void)arg;
    assert_int_equal(error, ERR_OK);
    taken[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const struct store_webhook *one = &webhooks[i];
        size_t len = strlen(taken);
        snprintf(taken + len, sizeof taken - len, "%s%s %s%s", len ? ", " : "",
                 one->stale ? "-" : one->job.job_id, one->type, one->job.cut ? " cut" : "");
        snprintf(taken_id, sizeof taken_id, "%s", one->id);
        snprintf(taken_result, sizeof taken_result, "%s",
                 one->job.result ? one->job.result : "NULL");
        taken_attempts = one->attempts;
        assert_in_range(one->age_ms, 0, 600000);
    }
    count_down();
}

static void take_some(const char *hosts, const char *users, int64_t count, int64_t by_host)
{
    env->waiting++;
    store_webhooks_take(
        env->store,
        &(struct store_webhook_take){
            .hosts = hosts, .users = users, .count = count, .by_host = by_host, .by_user = 100},
        on_taken, NULL);
    wait_all();
}

static void take(void)
{
    take_some("{}", "{}", 100, 100);
}

static void on_settled(struct store_webhook_settle *item)
{
    (void)item;
    count_down();
}

static void settle(const char *id, int64_t attempts, int64_t wait_ms)
{
    struct store_webhook_settle item = {
        .attempts = attempts, .wait_ms = wait_ms, .done = on_settled};
    snprintf(item.id, sizeof item.id, "%s", id);
    assert_int_equal(store_webhook_settle(env->store, &item), ERR_OK);
    env->waiting++;
    wait_all();
}

static void one_at_a_time_has_it(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s1"), ERR_OK);
    submit_told("j1", "u", "s1");
    assert_int_equal(finish("j1", 1, "completed").error, ERR_OK);
    take();
    assert_string_equal(taken, "j1 job.completed");
    assert_string_equal(taken_result, "done, \"really\"");
    assert_int_equal(taken_attempts, 1);
    take();
    assert_string_equal(taken, "");
    settle(taken_id, 1, 0);
    take();
    assert_string_equal(taken, "j1 job.completed");
    assert_int_equal(taken_attempts, 2);
    settle(taken_id, 1, -1); /* of the first, which has lost it */
    expect_told("j1 job.completed");
    settle(taken_id, 2, 60000);
    take();
    assert_string_equal(taken, "");
    settle(taken_id, 2, -1);
    expect_told("");
}

/* A lease that has ended: whoever had it is gone. */
static void it_comes_back_after_its_lease(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s1"), ERR_OK);
    submit_told("j1", "u", "s1");
    assert_int_equal(finish("j1", 1, "completed").error, ERR_OK);
    take();
    sql("UPDATE job_webhooks SET due_at = due_at - interval '45 seconds'");
    take();
    assert_string_equal(taken, "j1 job.completed");
    assert_int_equal(taken_attempts, 2);
}

static void what_is_stale_is_said_to_be(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s1"), ERR_OK);
    submit_told("j1", "u", "s1");
    wait_for_approval("j1");
    expect_told("j1 job.waiting_approval");
    take();
    assert_string_equal(taken, "j1 job.waiting_approval");
    settle(taken_id, 1, 0);
    env->waiting++;
    store_decide(env->store, "j1", "u", "{\"decision\": \"approve\"}", NULL, on_changes, NULL);
    wait_all();
    assert_int_equal(change_count, 1);
    take();
    assert_string_equal(taken, "- job.waiting_approval");
}

static void hosts_and_users_share(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s1"), ERR_OK);
    for (int i = 0; i < 5; i++) {
        char id[8];
        snprintf(id, sizeof id, "j%d", i);
        submit_told(id, "u", "s1");
        assert_int_equal(finish(id, 1, "completed").error, ERR_OK);
    }
    sql("UPDATE job_webhooks SET host = 'other' WHERE job_id = 'j4'");
    take_some("{app.example:8443}", "{}", 100, 100);
    assert_string_equal(taken, "j4 job.completed");
    take_some("{}", "{u}", 100, 100);
    assert_string_equal(taken, "");
    take_some("{}", "{}", 100, 1);
    assert_string_equal(taken, "j0 job.completed");
    take_some("{}", "{}", 2, 100);
    assert_string_equal(taken, "j1 job.completed, j2 job.completed");
}

static void on_forgotten(void *arg, enum err error, const struct store_change *changes,
                         size_t count)
{
    on_changes(arg, error, changes, count);
}

static void it_goes_with_the_job(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s1"), ERR_OK);
    submit_told("j1", "u", "s1");
    submit_told("j2", "other", "s1");
    assert_int_equal(finish("j1", 1, "completed").error, ERR_OK);
    assert_int_equal(finish("j2", 1, "completed").error, ERR_OK);
    env->waiting++;
    store_forget(env->store, "u", on_forgotten, NULL);
    wait_all();
    expect_told("j2 job.completed");
}

static void what_is_long_is_cut(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s1"), ERR_OK);
    submit_told("j1", "u", "s1");
    assert_int_equal(finish("j1", 1, "completed").error, ERR_OK);
    sql("UPDATE job_data SET result = repeat('ü', 65537)");
    take();
    assert_string_equal(taken, "j1 job.completed cut");
}

static int64_t expired;
static void on_expired(void *arg, enum err error, int64_t count)
{
    (void)arg;
    assert_int_equal(error, ERR_OK);
    expired = count;
    count_down();
}

static void what_nobody_tells_expires(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s1"), ERR_OK);
    submit_told("j1", "u", "s1");
    submit_told("j2", "u", "s1");
    assert_int_equal(finish("j1", 1, "completed").error, ERR_OK);
    assert_int_equal(finish("j2", 1, "completed").error, ERR_OK);
    sql("UPDATE job_webhooks SET due_at = due_at - interval '26 hours' WHERE job_id = 'j1'");
    env->waiting++;
    store_webhooks_expire(env->store, on_expired, NULL);
    wait_all();
    assert_int_equal(expired, 1);
    expect_told("j2 job.completed");
}

int main(void)
{
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORE_TEST(each_end_is_told_of),         STORE_TEST(without_an_address_nothing_is_written),
        STORE_TEST(one_at_a_time_has_it),        STORE_TEST(it_comes_back_after_its_lease),
        STORE_TEST(what_is_stale_is_said_to_be), STORE_TEST(hosts_and_users_share),
        STORE_TEST(it_goes_with_the_job),        STORE_TEST(what_is_long_is_cut),
        STORE_TEST(what_nobody_tells_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
