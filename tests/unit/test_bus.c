/* The bus against a real broker over TCP: several peers, one loop. */
#include "tests/unit/bus_fixture.h"

static void test_call_and_reply(void **state)
{
    (void)state;
    struct seen seen;
    call_events(&seen, "jobs.events", 77, WAIT_MS, true);
    wait_answer(&seen);
    assert_int_equal(seen.error, ERR_OK);
    assert_int_equal(seen.value, 77);
}

static void test_error_carries_detail(void **state)
{
    (void)state;
    struct seen seen;
    call_events(&seen, "jobs.events", 1, WAIT_MS, true);
    wait_answer(&seen);
    assert_int_equal(seen.error, ERR_NOT_FOUND);
    assert_string_equal(seen.detail, "no job here");
}

static void test_busy_is_for_the_caller(void **state)
{
    (void)state;
    struct seen seen;
    call_events(&seen, "jobs.events", 4, WAIT_MS, true);
    wait_answer(&seen);
    assert_int_equal(seen.error, ERR_OVERLOADED);
    assert_int_equal(seen.retry_after_ms, 1500);
    assert_int_equal(world.handled, 1);
}

static void test_stream_of_parts(void **state)
{
    (void)state;
    struct seen seen;
    call_events(&seen, "jobs.events", 2, WAIT_MS, true);
    wait_answer(&seen);
    assert_int_equal(seen.parts, 2);
    assert_int_equal(seen.error, ERR_OK);
}

static void test_deadline(void **state)
{
    (void)state;
    struct seen seen;
    call_events(&seen, "jobs.events", 3, 50, true);
    wait_answer(&seen);
    assert_int_equal(seen.error, ERR_TIMEOUT);
    assert_non_null(world.kept);
    assert_int_equal(bus_active(world.server), 1);
    bus_reply(&world.kept, events_result(0)); /* too late: finds nobody */
    call_events(&seen, "jobs.events", 5, WAIT_MS, true);
    wait_answer(&seen);
    assert_int_equal(seen.value, 5);
}

static void test_bad_arguments_never_leave(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct bus_request request = {
        .method = "jobs.events", .args = json_pack("{s:i}", "job_id", 1), .timeout_ms = WAIT_MS};
    bus_call(world.client, request, on_answer, &seen);
    wait_answer(&seen);
    assert_int_equal(seen.error, ERR_INVALID);
    assert_int_equal(world.handled, 0);
}

static void test_method_that_is_not_served(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct bus_request request = {
        .method = "jobs.health", .args = json_object(), .timeout_ms = WAIT_MS};
    bus_call(world.client, request, on_answer, &seen);
    wait_answer(&seen);
    assert_int_equal(seen.error, ERR_NOT_FOUND);
}

static void test_waits_for_a_service_until_the_deadline(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct bus_request request = {
        .method = "auth.status", .args = json_pack("{s:s}", "user_id", "u"), .timeout_ms = 200};
    bus_call(world.client, request, on_answer, &seen);
    wait_answer(&seen);
    assert_true(seen.error == ERR_NO_SERVICE || seen.error == ERR_TIMEOUT);
}

static void test_replica_by_name_and_broadcast(void **state)
{
    (void)state;
    world.second = make_bus("jobs", &world.second_handled, 8);
    assert_true(loop_run_until(world.loop, has_two, NULL, WAIT_MS));
    char method[64];
    struct seen seen;
    snprintf(method, sizeof method, "jobs@%s.events", bus_instance_text(world.second));
    for (int i = 1; i <= 5; i++) {
        call_events(&seen, method, 10 + i, WAIT_MS, true);
        wait_answer(&seen);
        assert_int_equal(world.second_handled, i);
    }
    bus_send(world.client, "jobs@*.offer",
             json_pack("{s:s, s:s, s:i, s:i}", "session", "s", "instance", "i", "received", 0,
                       "slots", 1));
    call_events(&seen, method, 20, WAIT_MS, true);
    wait_answer(&seen);
    snprintf(method, sizeof method, "jobs@%s.events", bus_instance_text(world.server));
    call_events(&seen, method, 20, WAIT_MS, true);
    wait_answer(&seen);
    assert_int_equal(world.second_handled, 7);
    assert_int_equal(world.handled, 2);
}

/* Two brokers, either of which may be the one that has just died. */
static void test_one_way_by_every_broker(void **state)
{
    (void)state;
    struct broker *other = NULL;
    int handled = 0;
    assert_int_equal(make_broker(0, &other), ERR_OK);
    size_t len = strlen(world.endpoint);
    snprintf(world.endpoint + len, sizeof world.endpoint - len, ",%s", broker_endpoint(other));
    world.second = make_bus("jobs", &handled, 8);
    struct bus *client = make_bus(NULL, NULL, 0);
    char method[64];
    snprintf(method, sizeof method, "jobs@%s.offer", bus_instance_text(world.second));
    for (int tries = 0; tries < 100 && handled != 2; tries++) {
        handled = 0;
        bus_send_every_way(client, method,
                           json_pack("{s:s, s:s, s:i, s:i}", "session", "s", "instance", "i",
                                     "received", 0, "slots", 1));
        loop_run_until(world.loop, never, NULL, 100);
    }
    assert_int_equal(handled, 2);
    bus_destroy(&client);
    bus_destroy(&world.second);
    broker_destroy(&other);
}

static void test_more_calls_than_credit(void **state)
{
    (void)state;
    enum { CALLS = 200 };
    static struct seen seen[CALLS];
    for (int i = 0; i < CALLS; i++)
        call_events(&seen[i], "jobs.events", 100 + i, WAIT_MS, true);
    for (int i = 0; i < CALLS; i++) {
        wait_answer(&seen[i]);
        assert_int_equal(seen[i].error, ERR_OK);
        assert_int_equal(seen[i].value, 100 + i);
    }
    assert_int_equal(world.handled, CALLS);
}

static void test_cancel_forgets(void **state)
{
    (void)state;
    struct seen seen, other;
    uint64_t id = call_events(&seen, "jobs.events", 3, WAIT_MS, true);
    call_events(&other, "jobs.events", 9, WAIT_MS, true);
    wait_answer(&other);
    bus_cancel(world.client, id);
    bus_cancel(world.client, id);
    call_events(&other, "jobs.events", 9, WAIT_MS, true);
    wait_answer(&other);
    assert_int_equal(bus_call_time_left(world.kept), 0);
    bus_reply(&world.kept, events_result(0));
    assert_int_equal(seen.answers, 0);
}

static bool is_kept_cancelled(void *arg)
{
    (void)arg;
    return bus_call_time_left(world.kept) == 0;
}

/* Whatever its service makes of it: a broker keeps nothing of a cancelled call. */
static void test_cancel_frees_the_broker(void **state)
{
    (void)state;
    struct seen seen;
    uint64_t id = call_events(&seen, "jobs.events", 3, 3600000, true);
    assert_true(loop_run_until(world.loop, has_kept, NULL, WAIT_MS));
    broker_drain(world.broker);
    bus_cancel(world.client, id);
    assert_true(loop_run_until(world.loop, is_drained, NULL, WAIT_MS));
    assert_true(loop_run_until(world.loop, is_kept_cancelled, NULL, WAIT_MS));
    bus_reply(&world.kept, events_result(3));
}

static void test_broker_restart(void **state)
{
    (void)state;
    struct seen repeated, once;
    call_events(&repeated, "jobs.events", 3, WAIT_MS, true);
    call_events(&once, "jobs.events", 3, WAIT_MS, false);
    loop_run_until(world.loop, is_answered, &repeated, 100);
    restart_broker();
    wait_answer(&once);
    assert_int_equal(once.error, ERR_PEER_LOST);
    struct seen fresh;
    call_events(&fresh, "jobs.events", 30, WAIT_MS, true);
    wait_answer(&fresh);
    assert_int_equal(fresh.value, 30);
    wait_answer(&repeated);
    assert_true(world.handled >= 4); /* the idempotent one came again */
}

static void test_drained_replica_gets_nothing(void **state)
{
    (void)state;
    world.second = make_bus("jobs", &world.second_handled, 8);
    assert_true(loop_run_until(world.loop, has_two, NULL, WAIT_MS));
    bus_drain(world.server);
    assert_true(loop_run_until(world.loop, has_one, NULL, WAIT_MS));
    struct seen seen;
    for (int i = 0; i < 20; i++) {
        call_events(&seen, "jobs.events", 40, WAIT_MS, true);
        wait_answer(&seen);
    }
    assert_int_equal(world.handled, 0);
    assert_int_equal(world.second_handled, 20);
}

static void test_a_replica_that_has_gone_is_not_waited_for(void **state)
{
    (void)state;
    struct seen seen;
    call_events(&seen, "jobs@00000000000000ff.events", 1, 100 * WAIT_MS, true);
    wait_answer(&seen);
    assert_int_equal(seen.error, ERR_NO_SERVICE);
}

/* An outsider that sends what does not fit disturbs nobody. */
static void send_frames(void *socket, int count, const void *first, size_t len)
{
    for (int i = 0; i < count; i++)
        zmq_send(socket, i ? "x" : first, i ? 1 : len,
                 ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0));
}

static void test_garbage_from_a_stranger(void **state)
{
    (void)state;
    void *context = zmq_ctx_new();
    void *stranger = zmq_socket(context, ZMQ_DEALER);
    int linger = 0;
    zmq_setsockopt(stranger, ZMQ_LINGER, &linger, sizeof linger);
    assert_int_equal(zmq_connect(stranger, world.endpoint), 0);
    uint8_t header[PROTO_HEADER_BYTES] = {'M', 'C', 'B', 1, PROTO_REQUEST};
    uint8_t hello[PROTO_HEADER_BYTES] = {'M', 'C', 'B', 1, PROTO_HELLO};
    for (int i = 0; i < 50; i++) {
        send_frames(stranger, 1 + i % 7, header, sizeof header);
        send_frames(stranger, 4, hello, sizeof hello);
        send_frames(stranger, 4, header, (size_t)i);
        header[PROTO_AT_TYPE] = (uint8_t)i;
    }
    struct seen seen;
    for (int i = 0; i < 20; i++) {
        call_events(&seen, "jobs.events", 50, WAIT_MS, true);
        wait_answer(&seen);
        assert_int_equal(seen.error, ERR_OK);
    }
    zmq_close(stranger);
    zmq_ctx_term(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(test_call_and_reply),
        BUS_TEST(test_error_carries_detail),
        BUS_TEST(test_busy_is_for_the_caller),
        BUS_TEST(test_stream_of_parts),
        BUS_TEST(test_deadline),
        BUS_TEST(test_bad_arguments_never_leave),
        BUS_TEST(test_method_that_is_not_served),
        BUS_TEST(test_waits_for_a_service_until_the_deadline),
        BUS_TEST(test_replica_by_name_and_broadcast),
        BUS_TEST(test_one_way_by_every_broker),
        BUS_TEST(test_more_calls_than_credit),
        BUS_TEST(test_cancel_forgets),
        BUS_TEST(test_cancel_frees_the_broker),
        BUS_TEST(test_broker_restart),
        BUS_TEST(test_drained_replica_gets_nothing),
        BUS_TEST(test_a_replica_that_has_gone_is_not_waited_for),
        BUS_TEST(test_garbage_from_a_stranger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
