/* The bus against a real broker over TCP: several peers, one loop. */
#include "tests/unit/unit.h"

#include <unistd.h>

#include <zmq.h>

#include "libcommon/bus.h"
#include "libcommon/bus_wire.h"
#include "libcommon/js.h"
#include "services/broker/broker.h"

enum { WAIT_MS = 10000 };

struct seen {
    enum err error;
    char detail[128];
    int parts, answers;
    int64_t value, retry_after_ms;
};

struct world {
    struct loop *loop;
    struct broker *broker;
    struct bus *client, *server, *second;
    char endpoint[256];
    int handled, second_handled;
    struct bus_call *kept;
};

static struct world world;

static void on_answer(void *arg, const struct bus_answer *answer)
{
    struct seen *seen = arg;
    if (!answer->last) {
        seen->parts++;
        return;
    }
    seen->answers++;
    seen->error = answer->error;
    seen->value = js_int(answer->result, "last", -1);
    seen->retry_after_ms = answer->retry_after_ms;
    snprintf(seen->detail, sizeof seen->detail, "%s", answer->detail);
}

static bool is_answered(void *arg)
{
    return ((struct seen *)arg)->answers > 0;
}

static void wait_answer(struct seen *seen)
{
    assert_true(loop_run_until(world.loop, is_answered, seen, WAIT_MS));
    assert_int_equal(seen->answers, 1);
}

static json_t *events_result(int64_t last)
{
    return json_pack("{s:[], s:b, s:I}", "events", "ended", 0, "last", (json_int_t)last);
}

/* jobs.events: what it does depends on `after`. */
static void handle_events(void *arg, struct bus_call *call, json_t *args)
{
    int *handled = arg;
    (*handled)++;
    int64_t after = js_int(args, "after", 0);
    if (after == 1) {
        bus_reply_error(&call, ERR_NOT_FOUND, "no %s here", "job");
    } else if (after == 2) {
        bus_reply_part(call, json_pack("{s:i}", "n", 1));
        bus_reply_part(call, json_pack("{s:i}", "n", 2));
        bus_reply(&call, events_result(2));
    } else if (after == 3) {
        world.kept = call;
    } else if (after == 4) {
        bus_reply_busy(&call, ERR_OVERLOADED, 1500, "later");
    } else {
        bus_reply(&call, events_result(bus_call_time_left(call) > 0 ? after : -2));
    }
}

static void handle_one_way(void *arg, struct bus_call *call, json_t *args)
{
    (void)args;
    (*(int *)arg)++;
    bus_reply(&call, json_object());
}

static const struct bus_method methods[] = {{"events", handle_events}, {"offer", handle_one_way}};

static struct bus *make_bus(const char *service, int *handled, unsigned credit)
{
    struct bus *bus = NULL;
    struct bus_options options = {.endpoints = world.endpoint,
                                  .service = service,
                                  .methods = methods,
                                  .method_count = service ? 2 : 0,
                                  .handler_arg = handled,
                                  .credit = credit,
                                  .plain = true};
    assert_int_equal(bus_new(world.loop, &options, &bus), ERR_OK);
    return bus;
}

static size_t replicas(void)
{
    uint64_t list[8];
    return bus_peers(world.client, "jobs", list, 8);
}

static bool has_one(void *arg)
{
    (void)arg;
    return replicas() == 1;
}

static bool has_none(void *arg)
{
    (void)arg;
    return replicas() == 0;
}

static bool has_kept(void *arg)
{
    (void)arg;
    return world.kept != NULL;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static bool has_two(void *arg)
{
    (void)arg;
    return replicas() == 2;
}

static enum err make_broker(int port, struct broker **ret_broker)
{
    char why[BUS_WHY_SIZE];
    struct broker_options options = {.address = "127.0.0.1", .port = port, .plain = true};
    return broker_new(world.loop, &options, ret_broker, why);
}

static int set_up(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    world.loop = loop_new();
    assert_int_equal(make_broker(0, &world.broker), ERR_OK);
    snprintf(world.endpoint, sizeof world.endpoint, "%s", broker_endpoint(world.broker));
    world.client = make_bus(NULL, NULL, 0);
    world.server = make_bus("jobs", &world.handled, 8);
    assert_true(loop_run_until(world.loop, has_one, NULL, WAIT_MS));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bus_destroy(&world.client);
    bus_destroy(&world.second);
    bus_destroy(&world.server);
    broker_destroy(&world.broker);
    loop_destroy(&world.loop);
    return 0;
}

static uint64_t call_events(struct seen *seen, const char *method, int after, int timeout_ms,
                            bool idempotent)
{
    *seen = (struct seen){0};
    struct bus_request request = {.method = method,
                                  .args = json_pack("{s:s, s:s, s:i, s:i}", "job_id", "j",
                                                    "user_id", "u", "after", after, "limit", 10),
                                  .timeout_ms = timeout_ms,
                                  .idempotent = idempotent};
    return bus_call(world.client, request, on_answer, seen);
}

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

static bool is_drained(void *arg)
{
    (void)arg;
    return broker_drained(world.broker);
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

static void restart_broker(void)
{
    int port = atoi(strrchr(world.endpoint, ':') + 1);
    broker_destroy(&world.broker);
    enum err err = ERR_CONFLICT;
    for (int i = 0; i < 200 && err; i++) {
        err = make_broker(port, &world.broker);
        if (err)
            loop_run_until(world.loop, has_two, NULL, 20);
    }
    assert_int_equal(err, ERR_OK);
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

/* What is under way through it is answered; what comes later, though it may not be repeated, waits
 * for another broker: here its successor. */
static void test_a_broker_that_ends_loses_no_call(void **state)
{
    (void)state;
    struct seen before, after;
    call_events(&before, "jobs.events", 3, WAIT_MS, false);
    assert_true(loop_run_until(world.loop, has_kept, NULL, WAIT_MS));
    broker_drain(world.broker);
    call_events(&after, "jobs.events", 50, WAIT_MS, false);
    assert_false(loop_run_until(world.loop, is_drained, NULL, 100));
    bus_reply(&world.kept, events_result(3));
    wait_answer(&before);
    assert_int_equal(before.error, ERR_OK);
    assert_true(loop_run_until(world.loop, is_drained, NULL, WAIT_MS));
    assert_int_equal(after.answers, 0);
    restart_broker();
    wait_answer(&after);
    assert_int_equal(after.value, 50);
}

struct heard {
    void *socket;
    uint8_t types[8];
    size_t count;
};

static bool has_heard_four(void *arg)
{
    struct heard *heard = arg;
    struct wire_message message;
    wire_init(&message);
    while (heard->count < 8 && wire_recv(heard->socket, false, &message) == ERR_OK)
        heard->types[heard->count++] = message.header.type;
    wire_fini(&message);
    return heard->count >= 4;
}

/* A broker by hand: welcomes, and keeps the first request's number. */
struct stub {
    void *context, *socket;
    struct proto_header asked;
    zmq_msg_t route;
};

static const char last_answer[] = "{\"events\": [], \"ended\": false, \"last\": 60}";

static void stub_send(struct stub *stub, enum proto_type type, zmq_msg_t *route,
                      const struct proto_header *asked)
{
    struct wire_message message;
    wire_init(&message);
    message.header = (struct proto_header){.type = type, .instance = 9};
    if (asked)
        message.header =
            (struct proto_header){.type = type, .instance = asked->instance, .seq = asked->seq};
    if (asked)
        wire_set(&message.body, last_answer, strlen(last_answer));
    zmq_msg_copy(&message.route, route);
    assert_int_equal(wire_send(stub->socket, true, &message), ERR_OK);
    wire_fini(&message);
}

static bool stub_is_asked(void *arg)
{
    struct stub *stub = arg;
    struct wire_message message;
    wire_init(&message);
    while (!stub->asked.seq && wire_recv(stub->socket, true, &message) == ERR_OK) {
        if (message.header.type == PROTO_HELLO)
            stub_send(stub, PROTO_WELCOME, &message.route, NULL);
        if (message.header.type != PROTO_REQUEST)
            continue;
        stub->asked = message.header;
        zmq_msg_copy(&stub->route, &message.route);
    }
    wire_fini(&message);
    return stub->asked.seq != 0;
}

/* The end of a connection is told apart from its messages, and may be heard first. */
static void test_the_last_answers_of_a_broker_are_read(void **state)
{
    (void)state;
    struct stub stub = {.context = zmq_ctx_new()};
    struct seen seen;
    char endpoint[64];
    size_t len = sizeof endpoint;
    int linger = WAIT_MS;
    stub.socket = zmq_socket(stub.context, ZMQ_ROUTER);
    zmq_msg_init(&stub.route);
    wire_socket_setup(stub.socket, 100);
    zmq_setsockopt(stub.socket, ZMQ_LINGER, &linger, sizeof linger);
    assert_int_equal(zmq_bind(stub.socket, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(stub.socket, ZMQ_LAST_ENDPOINT, endpoint, &len), 0);
    bus_destroy(&world.client);
    struct bus_options options = {.endpoints = endpoint, .plain = true};
    assert_int_equal(bus_new(world.loop, &options, &world.client), ERR_OK);
    call_events(&seen, "jobs.events", 60, WAIT_MS, false);
    assert_true(loop_run_until(world.loop, stub_is_asked, &stub, WAIT_MS));
    stub_send(&stub, PROTO_FINAL, &stub.route, &stub.asked);
    zmq_msg_close(&stub.route);
    zmq_close(stub.socket);
    zmq_ctx_term(stub.context);
    usleep(300 * 1000); /* both are there when the client looks */
    wait_answer(&seen);
    assert_int_equal(seen.error, ERR_OK);
    assert_int_equal(seen.value, 60);
}

static void test_who_greets_a_broker_that_ends_is_told(void **state)
{
    (void)state;
    void *context = zmq_ctx_new();
    struct heard heard = {.socket = zmq_socket(context, ZMQ_DEALER)};
    wire_socket_setup(heard.socket, 100);
    assert_int_equal(zmq_connect(heard.socket, world.endpoint), 0);
    broker_drain(world.broker);
    struct wire_message hello;
    wire_init(&hello);
    hello.header = (struct proto_header){.type = PROTO_HELLO, .instance = 7};
    wire_set(&hello.metadata, "{\"service\": \"\"}", 15);
    assert_int_equal(wire_send(heard.socket, false, &hello), ERR_OK);
    assert_true(loop_run_until(world.loop, has_heard_four, &heard, WAIT_MS));
    static const uint8_t told[] = {PROTO_WELCOME, PROTO_DRAIN, PROTO_PING, PROTO_PEERS};
    assert_memory_equal(heard.types, told, sizeof told);
    assert_false(broker_drained(world.broker)); /* it may have sent something before it read that */
    zmq_close(heard.socket);
    zmq_ctx_term(context);
}

static bool is_idle(void *bus)
{
    return bus_active(bus) == 0;
}

/* A service may end only when its broker has heard that it drains. */
static void test_a_service_waits_until_it_is_off_the_list(void **state)
{
    (void)state;
    assert_true(loop_run_until(world.loop, is_idle, world.server, WAIT_MS));
    bus_drain(world.server);
    assert_false(is_idle(world.server));
    assert_true(loop_run_until(world.loop, is_idle, world.server, WAIT_MS));
    assert_true(loop_run_until(world.loop, has_none, NULL, WAIT_MS));
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

/* Its last replies wait for the socket; what comes in meanwhile finds no service any more. */
static void test_a_bus_that_ends_calls_no_handler(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* 90 MB through one thread take minutes under this sanitizer */
#endif
    char session[10001];
    memset(session, 's', sizeof session - 1);
    session[sizeof session - 1] = '\0';
    for (int i = 0; i < 9000; i++) /* more than queues and TCP take */
        bus_send(world.server, "jobs.offer",
                 json_pack("{s:s, s:s, s:i, s:i}", "session", session, "instance", "i", "received",
                           0, "slots", 1));
    bus_destroy(&world.server);
    assert_int_equal(world.handled, 0);
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

#define BUS_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

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
        BUS_TEST(test_the_last_answers_of_a_broker_are_read),
        BUS_TEST(test_who_greets_a_broker_that_ends_is_told),
        BUS_TEST(test_a_broker_that_ends_loses_no_call),
        BUS_TEST(test_a_service_waits_until_it_is_off_the_list),
        BUS_TEST(test_a_replica_that_has_gone_is_not_waited_for),
        BUS_TEST(test_a_bus_that_ends_calls_no_handler),
        BUS_TEST(test_garbage_from_a_stranger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
