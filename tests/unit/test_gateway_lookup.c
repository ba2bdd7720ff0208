/* Look-ups against a jobs service of the test's own, over a real broker. */
#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/broker/broker.h"
#include "services/gateway/lookup.h"

enum { WAIT_MS = 10000, ASKED_MAX = 200 };

/* What comes of a job that was asked for alone. */
#define ALONE(id)                                                                            \
    "{\"job_id\":\"" id "\",\"user_id\":\"u\",\"message\":\"alone\",\"status\":\"pending\"," \
    "\"result\":null,\"error_message\":null,\"token_usage\":null,\"created_at\":\"now\","    \
    "\"updated_at\":null,\"completed_at\":null}"

struct asked {
    struct lookup *lookup;
    int answers;
    enum err error;
    char text[512];
};

static struct world {
    struct loop *loop;
    struct broker *broker;
    struct bus *client, *server;
    struct lookups *lookups;
    int packs, singles, pack_items, answered;
    enum err pack_error;
    const char *pack_text, *single_text; /* in place of a right answer */
    struct bus_call *kept;               /* the first pack, when it is to be kept */
    bool keep;
    struct asked asked[ASKED_MAX];
} world;

static void add_job(struct buf *out, const char *id, const char *user)
{
    if (strcmp(id, "missing") == 0)
        buf_add_str(out, "{\"error\":\"NOT_FOUND\",\"detail\":\"no\"}");
    else if (strcmp(id, "large") == 0)
        buf_add_str(out, "{\"error\":\"TOO_LARGE\",\"detail\":\"alone\"}");
    else
        buf_printf(out, "{\"job_id\":\"%s\",\"user_id\":\"%s\",\"x\":\"}],{\\\"\\\\\"}", id, user);
}

static void answer_many(struct bus_call *call, json_t *args)
{
    const json_t *ids = json_object_get(args, "ids"), *users = json_object_get(args, "users");
    struct buf out;
    buf_init(&out, 1 << 20);
    buf_add_str(&out, "{\"results\":[");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        buf_add_str(&out, i ? "," : "");
        add_job(&out, json_string_value(json_array_get(ids, i)),
                json_string_value(json_array_get(users, i)));
    }
    buf_add_str(&out, "]}");
    bus_reply_text(&call, &out);
}

static void get_many(void *arg, struct bus_call *call, json_t *args)
{
    (void)arg;
    world.packs++;
    world.pack_items += (int)json_array_size(json_object_get(args, "ids"));
    if (world.keep) {
        world.keep = false;
        world.kept = call;
    } else if (world.pack_error) {
        bus_reply_error(&call, world.pack_error, "as the test wants");
    } else if (world.pack_text) {
        struct buf out;
        buf_init(&out, 1 << 20);
        buf_add_str(&out, world.pack_text);
        bus_reply_text(&call, &out);
    } else {
        answer_many(call, args);
    }
}

static void get(void *arg, struct bus_call *call, json_t *args)
{
    (void)arg;
    struct buf out;
    world.singles++;
    buf_init(&out, 1 << 20);
    if (world.single_text)
        buf_add_str(&out, world.single_text);
    else
        buf_printf(&out,
                   "{ \"more\": 1, \"created_at\": \"now\", \"status\": \"pending\", "
                   "\"job_id\": \"%s\", \"user_id\": \"u\", \"message\": \"\\u0061lone\"}",
                   js_str(args, "job_id", ""));
    bus_reply_text(&call, &out);
}

static const struct bus_method methods[] = {{"get", get}, {"get_many", get_many}};

static struct bus *make_bus(const char *service, size_t method_count)
{
    struct bus *bus = NULL;
    struct bus_options options = {.endpoints = broker_endpoint(world.broker),
                                  .service = service,
                                  .methods = methods,
                                  .method_count = method_count,
                                  .plain = true};
    assert_int_equal(bus_new(world.loop, &options, &bus), ERR_OK);
    return bus;
}

static bool has_server(void *arg)
{
    uint64_t list[4];
    (void)arg;
    return bus_peers(world.client, "jobs", list, 4) == 1;
}

static void start(size_t method_count)
{
    memset(&world, 0, sizeof(world));
    world.loop = loop_new();
    struct broker_options options = {.address = "127.0.0.1", .plain = true};
    char why[BUS_WHY_SIZE];
    assert_int_equal(broker_new(world.loop, &options, &world.broker, why), ERR_OK);
    world.client = make_bus(NULL, 0);
    world.server = make_bus("jobs", method_count);
    world.lookups = lookups_new(world.loop, world.client);
    assert_true(loop_run_until(world.loop, has_server, NULL, WAIT_MS));
}

static void stop(void)
{
    lookups_destroy(&world.lookups);
    bus_destroy(&world.client);
    bus_destroy(&world.server);
    broker_destroy(&world.broker);
    loop_destroy(&world.loop);
}

static void on_answer(void *arg, const struct lookup_answer *answer)
{
    struct asked *asked = arg;
    asked->lookup = NULL;
    asked->answers++;
    asked->error = answer->error;
    if (!answer->error)
        snprintf(asked->text, sizeof(asked->text), "%.*s", (int)answer->len, answer->text);
    world.answered++;
}

static void ask(int i, const char *id)
{
    world.asked[i].lookup = lookup_new(world.lookups, id, "u", on_answer, &world.asked[i]);
}

static bool all_answered(void *arg)
{
    return world.answered == *(int *)arg;
}

static void wait_for(int count)
{
    assert_true(loop_run_until(world.loop, all_answered, &count, WAIT_MS));
}

static void test_each_gets_its_own(void **state)
{
    (void)state;
    start(2);
    for (int i = 0; i < ASKED_MAX; i++) {
        char id[16];
        snprintf(id, sizeof(id), "job-%d", i);
        ask(i, i % 50 == 7 ? "missing" : i % 50 == 9 ? "large" : id);
    }
    wait_for(ASKED_MAX);
    for (int i = 0; i < ASKED_MAX; i++) {
        char text[128];
        const struct asked *asked = &world.asked[i];
        assert_int_equal(asked->answers, 1);
        assert_int_equal(asked->error, i % 50 == 7 ? ERR_NOT_FOUND : ERR_OK);
        snprintf(text, sizeof(text),
                 "{\"job_id\":\"job-%d\",\"user_id\":\"u\",\"x\":\"}],{\\\"\\\\\"}", i);
        if (i % 50 == 9)
            assert_string_equal(asked->text, ALONE("large"));
        else if (i % 50 != 7)
            assert_string_equal(asked->text, text);
    }
    assert_int_equal(world.pack_items, ASKED_MAX);
    assert_int_equal(world.packs, (ASKED_MAX + 63) / 64);
    assert_int_equal(world.singles, 4);
    stop();
}

static void test_an_older_service(void **state)
{
    (void)state;
    start(1);
    ask(0, "a");
    ask(1, "b");
    wait_for(2);
    assert_string_equal(world.asked[0].text, ALONE("a"));
    assert_string_equal(world.asked[1].text, ALONE("b"));
    stop();
}

static void test_a_pack_fails(void **state)
{
    (void)state;
    start(2);
    world.pack_error = ERR_DENIED;
    ask(0, "a");
    ask(1, "b");
    wait_for(2);
    assert_int_equal(world.asked[0].error, ERR_DENIED);
    assert_int_equal(world.asked[1].error, ERR_DENIED);
    stop();
}

/* Each is then asked for alone. */
static void test_answers_that_do_not_fit(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "{\"results\":[]}",
        "{\"results\":[{\"a\":1}]}",
        "{\"results\":[{\"a\":1},{\"b\":2},{\"c\":3}]}",
        "{\"results\":[{\"a\":1},{\"b\":2}",
        "{\"results\":[{\"a\":1},{\"b\":\"2",
        "{\"results\":[{\"a\":1},{\"b\":\"2\\",
        "{\"results\":[{\"a\":1} {\"b\":2}]}",
        "{\"results\":[null,{\"b\":2}]}",
        "{\"results\":[{\"a\":1},{\"b\":2}]} ",
        "{\"results\":[{\"a\":1},{\"b\":2}]}",
        "{\"results\":[{\"job_id\":\"b\",\"user_id\":\"u\",\"x\":1},"
        "{\"job_id\":\"a\",\"user_id\":\"u\",\"x\":1}]}",
        "{\"results\":[{\"job_id\":\"a\",\"user_id\":\"other\",\"x\":1},"
        "{\"job_id\":\"b\",\"user_id\":\"uu\",\"x\":1}]}",
        "{\"results\":[{\"job_id\":\"a\"},{\"job_id\":\"b\",\"user_id\":\"u\"}]}",
        "{\"results\":[{\"user_id\":\"u\",\"job_id\":\"a\"},{\"error\":\"INTERNAL\"}]}",
        "{\"results\": [{\"job_id\": \"x\"}, {\"job_id\": \"y\"}]}",
    };
    (void)state;
    start(2);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        world.pack_text = texts[i];
        world.answered = 0;
        ask(0, "a");
        ask(1, "b");
        wait_for(2);
        assert_string_equal(world.asked[0].text, ALONE("a"));
        assert_string_equal(world.asked[1].text, ALONE("b"));
    }
    stop();
}

/* Nothing of such a job reaches the client. */
static void test_no_job_at_all(void **state)
{
    static const char *const texts[] = {
        "", "{}", "\xff", "{\"job_id\":", "[]", "{\"job_id\":\"a\"}"};
    (void)state;
    start(1);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        world.single_text = texts[i];
        world.answered = 0;
        ask(0, "a");
        wait_for(1);
        assert_int_equal(world.asked[0].error, ERR_BAD_FRAME);
    }
    stop();
}

static bool is_kept(void *arg)
{
    (void)arg;
    return world.kept != NULL;
}

/* Waiting, in a pack under way, and answered; the others still get theirs. */
static void test_cancel(void **state)
{
    (void)state;
    start(2);
    world.keep = true;
    ask(0, "a");
    ask(1, "b");
    lookup_cancel(&world.asked[1].lookup);
    ask(2, "c");
    assert_true(loop_run_until(world.loop, is_kept, NULL, WAIT_MS));
    assert_int_equal(world.pack_items, 2);
    lookup_cancel(&world.asked[0].lookup);
    assert_null(world.asked[0].lookup);
    json_t *args = json_pack("{s:[s, s], s:[s, s]}", "ids", "a", "c", "users", "u", "u");
    answer_many(world.kept, args);
    json_decref(args);
    wait_for(1);
    assert_int_equal(world.asked[0].answers + world.asked[1].answers, 0);
    assert_int_equal(world.asked[2].answers, 1);
    lookup_cancel(&world.asked[2].lookup);
    stop();
}

static void test_end_with_some_under_way(void **state)
{
    (void)state;
    start(2);
    world.keep = true;
    ask(0, "a");
    assert_true(loop_run_until(world.loop, is_kept, NULL, WAIT_MS));
    ask(1, "b");
    lookup_cancel(&world.asked[0].lookup);
    lookup_cancel(&world.asked[1].lookup);
    stop();
    assert_int_equal(world.answered, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_gets_its_own),
        cmocka_unit_test(test_an_older_service),
        cmocka_unit_test(test_a_pack_fails),
        cmocka_unit_test(test_answers_that_do_not_fit),
        cmocka_unit_test(test_no_job_at_all),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_end_with_some_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
