/* A bus against a real broker over TCP: a client, a server and a second one in one loop. */
#ifndef MCPBUS_TESTS_BUS_FIXTURE_H
#define MCPBUS_TESTS_BUS_FIXTURE_H

#include "tests/unit/unit.h"

#include <unistd.h>

#include <zmq.h>

#include "libcommon/bus.h"
#include "libcommon/bus_wire.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
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

static inline void on_answer(void *arg, const struct bus_answer *answer)
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

static inline bool is_answered(void *arg)
{
    return ((struct seen *)arg)->answers > 0;
}

static inline void wait_answer(struct seen *seen)
{
    assert_true(loop_run_until(world.loop, is_answered, seen, WAIT_MS));
    assert_int_equal(seen->answers, 1);
}

static inline json_t *events_result(int64_t last)
{
    return json_pack("{s:[], s:b, s:I}", "events", "ended", 0, "last", (json_int_t)last);
}

/* jobs.events: what it does depends on `after`. */
static inline void handle_events(void *arg, struct bus_call *call, json_t *args)
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

static inline void handle_one_way(void *arg, struct bus_call *call, json_t *args)
{
    (void)args;
    (*(int *)arg)++;
    bus_reply(&call, json_object());
}

static const struct bus_method methods[] = {{"events", handle_events}, {"offer", handle_one_way}};

static inline struct bus *make_bus(const char *service, int *handled, unsigned credit)
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

static inline size_t replicas(void)
{
    uint64_t list[8];
    return bus_peers(world.client, "jobs", list, 8);
}

static inline bool has_one(void *arg)
{
    (void)arg;
    return replicas() == 1;
}

static inline bool has_none(void *arg)
{
    (void)arg;
    return replicas() == 0;
}

static inline bool has_kept(void *arg)
{
    (void)arg;
    return world.kept != NULL;
}

static inline bool never(void *arg)
{
    (void)arg;
    return false;
}

static inline bool has_two(void *arg)
{
    (void)arg;
    return replicas() == 2;
}

static inline enum err make_broker(int port, struct broker **ret_broker)
{
    char why[BUS_WHY_SIZE];
    struct broker_options options = {.address = "127.0.0.1", .port = port, .plain = true};
    return broker_new(world.loop, &options, ret_broker, why);
}

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
{
    (void)state;
    bus_destroy(&world.client);
    bus_destroy(&world.second);
    bus_destroy(&world.server);
    broker_destroy(&world.broker);
    loop_destroy(&world.loop);
    return 0;
}

static inline uint64_t call_events(struct seen *seen, const char *method, int after, int timeout_ms,
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

static inline bool is_drained(void *arg)
{
    (void)arg;
    return broker_drained(world.broker);
}

static inline void restart_broker(void)
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

#define BUS_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
