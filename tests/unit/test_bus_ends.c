/* How brokers and peers end: nothing that was under way is lost. */
#include "tests/unit/bus_fixture.h"

#include <sys/epoll.h>

#include "libcommon/clock.h"

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

/* A peer by hand; PINGs that follow each other count as one, for a busy machine makes more. */
struct heard {
    void *socket;
    uint8_t types[16];
    size_t count, wanted;
    int pings; /* not answered */
};

static void say(const struct heard *heard, enum proto_type type, const char *method,
                const char *metadata)
{
    struct wire_message message;
    wire_init(&message);
    message.header =
        (struct proto_header){.type = type, .instance = 7, .seq = 1, .ttl_ms = WAIT_MS};
    wire_set(&message.method, method, strlen(method));
    wire_set(&message.metadata, metadata, strlen(metadata));
    assert_int_equal(wire_send(heard->socket, false, &message), ERR_OK);
    wire_fini(&message);
}

static void answer_pings(struct heard *heard)
{
    for (; heard->pings; heard->pings--)
        say(heard, PROTO_PONG, "", "");
}

static bool has_heard(void *arg)
{
    struct heard *heard = arg;
    struct wire_message message;
    wire_init(&message);
    while (heard->count < 16 && wire_recv(heard->socket, false, &message) == ERR_OK) {
        uint8_t type = message.header.type;
        heard->pings += type == PROTO_PING;
        if (type != PROTO_PING || !heard->count || heard->types[heard->count - 1] != type)
            heard->types[heard->count++] = type;
    }
    wire_fini(&message);
    return heard->count >= heard->wanted;
}

/* The broker's end, with a peer that answers. */
static bool has_ended(void *arg)
{
    struct heard *heard = arg;
    has_heard(heard);
    answer_pings(heard);
    return broker_drained(world.broker);
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

enum { SLOW_MESSAGES = 40, SLOW_BYTES = 256 * 1024, SLOW_AHEAD = 8, SLOW_MS = 300, STOP_MS = 50 };

/* A broker by hand that, once it has welcomed, reads no more until its timer says so. */
struct slow {
    struct stub stub;
    bool welcomed, awake;
    int fd, read, read_before_pong;
};

static void slow_wakes(void *arg)
{
    ((struct slow *)arg)->awake = true;
}

static bool slow_turn(void *arg)
{
    struct slow *slow = arg;
    struct wire_message message;
    bool busy = false;
    wire_init(&message);
    while ((!slow->welcomed || slow->awake) &&
           wire_recv(slow->stub.socket, true, &message) == ERR_OK) {
        busy = true;
        slow->read += message.header.type == PROTO_REQUEST;
        slow->welcomed |= message.header.type == PROTO_HELLO;
        if (message.header.type == PROTO_HELLO) {
            stub_send(&slow->stub, PROTO_WELCOME, &message.route, NULL);
            zmq_msg_copy(&slow->stub.route, &message.route);
        }
        if (message.header.type == PROTO_PING)
            stub_send(&slow->stub, PROTO_PONG, &message.route, NULL);
        if (message.header.type == PROTO_PONG)
            slow->read_before_pong = slow->read;
    }
    wire_fini(&message);
    return busy;
}

/* Only wakes the loop. */
static void on_readable(void *arg, uint32_t events)
{
    (void)arg;
    (void)events;
}

static void slow_open(struct slow *slow, char *endpoint, size_t len)
{
    zmq_msg_init(&slow->stub.route);
    slow->stub.context = zmq_ctx_new();
    slow->stub.socket = zmq_socket(slow->stub.context, ZMQ_ROUTER);
    wire_socket_setup(slow->stub.socket, SLOW_AHEAD); /* the rest stays with the sender */
    assert_int_equal(zmq_bind(slow->stub.socket, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(slow->stub.socket, ZMQ_LAST_ENDPOINT, endpoint, &len), 0);
    len = sizeof slow->fd;
    assert_int_equal(zmq_getsockopt(slow->stub.socket, ZMQ_FD, &slow->fd, &len), 0);
    loop_fd_add(world.loop, slow->fd, EPOLLIN, on_readable, slow);
    loop_source_add(world.loop, slow_turn, slow);
}

static void slow_close(struct slow *slow)
{
    loop_source_remove(world.loop, slow_turn, slow);
    loop_fd_remove(world.loop, slow->fd);
    zmq_msg_close(&slow->stub.route);
    zmq_close(slow->stub.socket);
    zmq_ctx_term(slow->stub.context);
}

static bool is_connected(void *bus)
{
    return bus_connected(bus);
}

/* The world's client, of the slow broker. */
static void slow_connect(struct slow *slow)
{
    char endpoint[64];
    slow_open(slow, endpoint, sizeof endpoint);
    bus_destroy(&world.client);
    struct bus_options options = {.endpoints = endpoint, .plain = true};
    assert_int_equal(bus_new(world.loop, &options, &world.client), ERR_OK);
    assert_true(loop_run_until(world.loop, is_connected, world.client, WAIT_MS));
}

static void offer(struct bus *bus, const char *session)
{
    bus_send(bus, "jobs.offer",
             json_pack("{s:s, s:s, s:i, s:i}", "session", session, "instance", "i", "received", 0,
                       "slots", 1));
}

static void stop_loop(void *arg)
{
    (void)arg;
    loop_stop(world.loop);
}

/* More than TCP's buffers hold: it is still with the bus's own thread when the bus ends. What stops
 * the loop is about something else. The time that it took. */
static int64_t end_with_much_to_say(struct slow *slow)
{
    AUTOFREE char *session = mem_alloc(SLOW_BYTES);
    memset(session, 's', SLOW_BYTES - 1);
    session[SLOW_BYTES - 1] = '\0';
    slow_connect(slow);
    struct loop_timer *wakes = loop_timer_new(world.loop, slow_wakes, slow);
    struct loop_timer *stops = loop_timer_new(world.loop, stop_loop, NULL);
    for (int i = 0; i < SLOW_MESSAGES; i++)
        offer(world.client, session);
    loop_timer_start(wakes, SLOW_MS);
    loop_timer_start(stops, STOP_MS);
    int64_t begun = clock_ms();
    bus_destroy(&world.client);
    int64_t took = clock_ms() - begun;
    loop_timer_destroy(&wakes);
    loop_timer_destroy(&stops);
    slow_close(slow);
    return took;
}

/* A busy machine may need more than the two seconds that a bus waits, but never every time. */
static void test_the_last_messages_of_a_bus_are_read(void **state)
{
    (void)state;
    for (int tries = 1;; tries++) {
        struct slow slow = {.read = 0};
        int64_t took = end_with_much_to_say(&slow);
        if (slow.read == SLOW_MESSAGES)
            return;
        assert_true(took >= 2000);
        assert_true(tries < 20);
    }
}

static bool slow_has_pong(void *arg)
{
    return ((struct slow *)arg)->read_before_pong > 0;
}

/* A broker counts the PONGs, and takes one for a word on all that was sent before. */
static void test_a_pong_finds_room_and_keeps_its_place(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* 40 MB through one thread */
#endif
    enum { MESSAGES = 8000 }; /* more than the socket's queue, TCP's buffers aside */
    struct slow slow = {.read = 0};
    char session[5000];
    memset(session, 's', sizeof session - 1);
    session[sizeof session - 1] = '\0';
    slow_connect(&slow);
    for (int i = 0; i < MESSAGES; i++)
        offer(world.client, session);
    size_t waiting = 0, bytes = 0;
    bus_backlog(world.client, &waiting, &bytes);
    assert_true(waiting > 0);
    stub_send(&slow.stub, PROTO_PING, &slow.stub.route, NULL);
    loop_run_until(world.loop, never, NULL, 100); /* it is read while there is no room */
    slow.awake = true;
    assert_true(loop_run_until(world.loop, slow_has_pong, &slow, WAIT_MS));
    assert_int_equal(slow.read_before_pong, MESSAGES);
    bus_destroy(&world.client);
    slow_close(&slow);
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

static void wait_heard(struct heard *heard, size_t wanted, const uint8_t *types)
{
    heard->wanted = wanted;
    assert_true(loop_run_until(world.loop, has_heard, heard, WAIT_MS));
    assert_memory_equal(heard->types, types, wanted);
}

static void test_who_greets_a_broker_that_ends_is_told(void **state)
{
    (void)state;
    static const uint8_t told[] = {PROTO_WELCOME, PROTO_DRAIN, PROTO_PING, PROTO_PEERS,
                                   PROTO_PING,    PROTO_FINAL, PROTO_PING};
    void *context = zmq_ctx_new();
    struct heard heard = {.socket = zmq_socket(context, ZMQ_DEALER)};
    wire_socket_setup(heard.socket, 100);
    assert_int_equal(zmq_connect(heard.socket, world.endpoint), 0);
    broker_drain(world.broker);
    say(&heard, PROTO_HELLO, "", "{\"service\": \"\"}");
    wait_heard(&heard, 4, told);
    /* It may have sent something before it read that, */
    assert_false(loop_run_until(world.loop, is_drained, NULL, 100));
    answer_pings(&heard);
    /* and may not have read all that it was sent, */
    assert_false(loop_run_until(world.loop, is_drained, NULL, 100));
    wait_heard(&heard, 5, told);
    /* nor what it was sent since it was asked. */
    say(&heard, PROTO_REQUEST, "jobs.events", "");
    answer_pings(&heard);
    assert_false(loop_run_until(world.loop, is_drained, NULL, 100));
    wait_heard(&heard, sizeof told, told);
    assert_true(loop_run_until(world.loop, has_ended, &heard, WAIT_MS));
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
        offer(world.server, session);
    bus_destroy(&world.server);
    assert_int_equal(world.handled, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(test_the_last_answers_of_a_broker_are_read),
        BUS_TEST(test_the_last_messages_of_a_bus_are_read),
        BUS_TEST(test_a_pong_finds_room_and_keeps_its_place),
        BUS_TEST(test_who_greets_a_broker_that_ends_is_told),
        BUS_TEST(test_a_broker_that_ends_loses_no_call),
        BUS_TEST(test_a_service_waits_until_it_is_off_the_list),
        BUS_TEST(test_a_bus_that_ends_calls_no_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
