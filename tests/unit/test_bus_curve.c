/* Keys on a real bus: who is let in, what becomes of keys that come, change and go. */
#include "tests/unit/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/bus.h"
#include "libcommon/bus_internal.h"
#include "libcommon/bus_keys.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/broker/broker.h"

enum { WAIT_MS = 20000 };

static struct {
    struct loop *loop;
    struct broker *broker;
    struct bus *server, *client;
    char folder[64], own[64]; /* the broker's folder, and one of a peer elsewhere */
    char endpoint[256];
    char trouble[BUS_WHY_SIZE];
    int handled, answers;
    enum err error;
} world;

__attribute__((format(printf, 1, 2))) static void command(const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    assert_int_equal(system(text), 0);
}

static char *path_of(const char *folder, const char *name, const char *suffix)
{
    return mem_printf("%s/%s%s", folder, name, suffix);
}

static void write_file(const char *path, const struct bus_cert *cert, bool secret)
{
    char *text = bus_cert_format(cert, secret);
    AUTOFREE char *part = mem_printf("%s.part", path);
    FILE *file = fopen(part, "w");
    assert_non_null(file);
    assert_int_equal(chmod(part, 0600), 0);
    fputs(text, file);
    fclose(file);
    assert_int_equal(rename(part, path), 0);
    free(text);
}

static void make_key(const char *folder, const char *name, enum proto_role role, const char *call,
                     const char *serve)
{
    struct bus_cert cert = {.role = role};
    snprintf(cert.name, sizeof cert.name, "%s", name);
    snprintf(cert.call, sizeof cert.call, "%s", call);
    snprintf(cert.serve, sizeof cert.serve, "%s", serve);
    bus_cert_generate(&cert);
    AUTOFREE char *public = path_of(folder, name, ".key");
    AUTOFREE char *secret = path_of(folder, name, ".key_secret");
    write_file(secret, &cert, true);
    write_file(public, &cert, false);
}

static enum err make_broker(int port)
{
    char why[BUS_WHY_SIZE] = "";
    AUTOFREE char *key = path_of(world.folder, "broker", ".key_secret");
    struct broker_options options = {
        .address = "127.0.0.1", .port = port, .keys = world.folder, .key = key};
    enum err err = broker_new(world.loop, &options, &world.broker, why);
    if (!err)
        snprintf(world.endpoint, sizeof world.endpoint, "%s", broker_endpoint(world.broker));
    return err;
}

static void on_trouble(void *arg, const char *endpoint, const char *what)
{
    (void)arg;
    (void)endpoint;
    snprintf(world.trouble, sizeof world.trouble, "%s", what);
}

static void handle(void *arg, struct bus_call *call, json_t *args)
{
    (void)arg;
    (void)args;
    world.handled++;
    bus_reply(&call, json_pack("{s:i, s:i}", "queued", 1, "running", 2));
}

static const struct bus_method methods[] = {{"health", handle}};

static struct bus *make_bus(const char *folder, const char *key_name, const char *service)
{
    struct bus *bus = NULL;
    AUTOFREE char *key = path_of(folder, key_name, ".key_secret");
    struct bus_options options = {.endpoints = world.endpoint,
                                  .service = service,
                                  .methods = methods,
                                  .method_count = service ? 1 : 0,
                                  .keys = folder,
                                  .key = key,
                                  .trouble = on_trouble};
    assert_int_equal(bus_new(world.loop, &options, &bus), ERR_OK);
    return bus;
}

static int set_up(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    snprintf(world.folder, sizeof world.folder, "/tmp/test_bus_curve.XXXXXX");
    snprintf(world.own, sizeof world.own, "/tmp/test_bus_curve.XXXXXX");
    assert_non_null(mkdtemp(world.folder));
    assert_non_null(mkdtemp(world.own));
    for (int role = 0; role < PROTO_ROLE_COUNT; role++)
        make_key(world.folder, proto_role_name((enum proto_role)role), (enum proto_role)role, "",
                 "");
    world.loop = loop_new();
    assert_int_equal(make_broker(0), ERR_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bus_destroy(&world.client);
    bus_destroy(&world.server);
    broker_destroy(&world.broker);
    loop_destroy(&world.loop);
    command("rm -rf '%s' '%s'", world.folder, world.own);
    return 0;
}

static bool is_connected(void *bus)
{
    return bus_connected(bus);
}

static bool is_cut_off(void *bus)
{
    return !bus_connected(bus);
}

static bool is_troubled(void *arg)
{
    return strstr(world.trouble, arg) != NULL;
}

static bool is_answered(void *arg)
{
    (void)arg;
    return world.answers > 0;
}

static bool has_jobs(void *bus)
{
    uint64_t list[2];
    return bus_peers(bus, "jobs", list, 2) == 1;
}

static void wait_for(bool (*done)(void *), void *arg)
{
    assert_true(loop_run_until(world.loop, done, arg, WAIT_MS));
}

static void on_answer(void *arg, const struct bus_answer *answer)
{
    (void)arg;
    world.answers++;
    world.error = answer->error;
}

static enum err call(struct bus *bus, const char *method, json_t *args)
{
    world.answers = 0;
    struct bus_request request = {
        .method = method, .args = args, .timeout_ms = WAIT_MS, .idempotent = true};
    bus_call(bus, request, on_answer, NULL);
    wait_for(is_answered, NULL);
    return world.error;
}

static void start_pair(const char *client_key)
{
    world.server = make_bus(world.folder, "jobs", "jobs");
    world.client = make_bus(world.folder, client_key, NULL);
    wait_for(has_jobs, world.client);
}

static void test_a_call(void **state)
{
    (void)state;
    start_pair("gateway");
    assert_int_equal(call(world.client, "jobs.health", json_object()), ERR_OK);
    assert_int_equal(world.handled, 1);
}

static void test_a_call_that_the_role_may_not_make(void **state)
{
    (void)state;
    start_pair("worker");
    assert_int_equal(call(world.client, "jobs.health", json_object()), ERR_DENIED);
    assert_int_equal(call(world.client, "worker.cancel", json_pack("{s:[]}", "jobs")), ERR_DENIED);
    assert_int_equal(world.handled, 0);
}

static void copy_broker_key(void)
{
    command("cp '%s'/broker.key '%s'/", world.folder, world.own);
}

static void test_a_key_that_the_broker_does_not_know(void **state)
{
    (void)state;
    copy_broker_key();
    make_key(world.own, "gateway", PROTO_ROLE_GATEWAY, "", "");
    world.client = make_bus(world.own, "gateway", NULL);
    wait_for(is_troubled, "refuses our key");
    assert_false(bus_connected(world.client));
    command("cp '%s'/gateway.key '%s'/", world.own, world.folder); /* in the older one's place */
    wait_for(is_connected, world.client);
}

static void test_a_broker_whose_key_is_not_ours(void **state)
{
    (void)state;
    make_key(world.own, "broker", PROTO_ROLE_BROKER, "", "");
    make_key(world.own, "other", PROTO_ROLE_BROKER, "", "");
    command("cp '%s'/gateway.key_secret '%s'/", world.folder, world.own);
    world.client = make_bus(world.own, "gateway", NULL);
    wait_for(is_troubled, "in the handshake");
    assert_false(bus_connected(world.client));
    command("cp '%s'/broker.key '%s'/theirs.key", world.folder, world.own);
    wait_for(is_connected, world.client);
}

static void test_no_broker_key_at_all(void **state)
{
    (void)state;
    command("cp '%s'/gateway.key_secret '%s'/", world.folder, world.own);
    world.client = make_bus(world.own, "gateway", NULL);
    wait_for(is_troubled, "copy broker.key");
    copy_broker_key();
    wait_for(is_connected, world.client);
}

/* A service that its key may not serve is refused with the reason. */
static void test_a_service_that_the_key_may_not_serve(void **state)
{
    (void)state;
    world.client = make_bus(world.folder, "gateway", NULL);
    wait_for(is_connected, world.client);
    make_key(world.folder, "client", PROTO_ROLE_CLIENT, "", "billing");
    world.server = make_bus(world.folder, "client", "mail");
    wait_for(is_troubled, "may not serve");
    assert_false(bus_connected(world.server));
    bus_destroy(&world.server);
    world.server = make_bus(world.folder, "client", "billing");
    wait_for(is_connected, world.server);
    assert_true(bus_connected(world.client));
}

static void test_a_key_that_is_removed_is_cut_off(void **state)
{
    (void)state;
    start_pair("gateway");
    command("rm '%s'/gateway.key", world.folder);
    wait_for(is_cut_off, world.client);
    wait_for(is_troubled, "refuses our key");
    assert_true(bus_connected(world.server));
}

/* The rights of a key that is connected change at once. */
static void test_rights_that_change(void **state)
{
    (void)state;
    make_key(world.folder, "client", PROTO_ROLE_CLIENT, "jobs.health", "");
    start_pair("client");
    assert_int_equal(call(world.client, "jobs.health", json_object()), ERR_OK);
    command("sed -i s/jobs.health/jobs.submit/ '%s'/client.key", world.folder);
    for (int i = 0; i < 200 && call(world.client, "jobs.health", json_object()) == ERR_OK; i++)
        loop_run_until(world.loop, is_troubled, "never", 50);
    assert_int_equal(world.error, ERR_DENIED);
}

/* A broker that comes back with another key, which is in the peers' folder. */
static void test_the_broker_changes_its_key(void **state)
{
    (void)state;
    start_pair("gateway");
    int port = atoi(strrchr(world.endpoint, ':') + 1);
    command("cp '%s'/broker.key '%s'/broker.old.key", world.folder, world.folder);
    make_key(world.folder, "broker", PROTO_ROLE_BROKER, "", "");
    broker_destroy(&world.broker);
    enum err err = ERR_CONFLICT;
    for (int i = 0; i < 200 && err; i++) {
        err = make_broker(port);
        if (err)
            loop_run_until(world.loop, is_troubled, "never", 20);
    }
    assert_int_equal(err, ERR_OK);
    assert_int_equal(call(world.client, "jobs.health", json_object()), ERR_OK);
}

static void test_what_does_not_start(void **state)
{
    (void)state;
    char why[BUS_WHY_SIZE] = "";
    AUTOFREE char *gateway = path_of(world.folder, "gateway", ".key_secret");
    struct broker *broker = NULL;
    struct bus *bus = NULL;
    struct broker_options brokers[] = {
        {.address = "127.0.0.1", .keys = world.folder, .key = gateway},
        {.address = "127.0.0.1", .keys = world.folder, .key = "/nonexistent"},
        {.address = "127.0.0.1", .keys = "/nonexistent", .key = gateway},
        {.address = "0.0.0.0", .plain = true},
        {.address = "192.0.2.1", .plain = true},
    };
    for (size_t i = 0; i < sizeof brokers / sizeof *brokers; i++) {
        assert_int_equal(broker_new(world.loop, &brokers[i], &broker, why), ERR_DENIED);
        assert_true(*why);
        *why = '\0';
    }
    struct bus_options buses[] = {
        {.endpoints = world.endpoint},
        {.endpoints = world.endpoint, .keys = world.folder, .key = gateway, .service = "jobs"},
        {.endpoints = world.endpoint, .keys = "/nonexistent", .key = gateway},
        {.endpoints = world.endpoint, .keys = world.folder, .key = "/nonexistent"},
        {.endpoints = "tcp://192.0.2.1:5550", .plain = true},
        {.endpoints = "tcp://127.0.0.1:1,tcp://192.0.2.1:5550", .plain = true},
    };
    for (size_t i = 0; i < sizeof buses / sizeof *buses; i++) {
        buses[i].why = why;
        assert_int_equal(bus_new(world.loop, &buses[i], &bus), ERR_DENIED);
        assert_true(*why);
        *why = '\0';
    }
}

static void test_a_plain_peer_of_a_broker_with_keys(void **state)
{
    (void)state;
    struct bus_options options = {
        .endpoints = world.endpoint, .plain = true, .trouble = on_trouble};
    assert_int_equal(bus_new(world.loop, &options, &world.client), ERR_OK);
    wait_for(is_troubled, "in the handshake");
    assert_false(bus_connected(world.client));
}

/* What a name leads to is known only once it has been looked up. */
static void test_plain_follows_no_name_beyond_loopback(void **state)
{
    (void)state;
    struct bus bus = {.loop = world.loop, .options = {.plain = true, .trouble = on_trouble}};
    struct bus_link link = {.bus = &bus, .endpoint = world.endpoint};
    assert_true(secure_allows(&link, "tcp://127.0.0.1:5550"));
    assert_true(secure_allows(&link, "tcp://127.1.2.3:5550"));
    assert_string_equal(world.trouble, "");
    assert_false(secure_allows(&link, "tcp://192.0.2.1:5550"));
    assert_false(secure_allows(&link, "tcp://12.7.0.0:1"));
    assert_false(secure_allows(&link, "tcp://[::]:1"));
    assert_non_null(strstr(world.trouble, "loopback"));
    bus.options.plain = false;
    assert_true(secure_allows(&link, "tcp://192.0.2.1:5550"));
}

#define CURVE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CURVE_TEST(test_a_call),
        CURVE_TEST(test_a_call_that_the_role_may_not_make),
        CURVE_TEST(test_a_key_that_the_broker_does_not_know),
        CURVE_TEST(test_a_broker_whose_key_is_not_ours),
        CURVE_TEST(test_no_broker_key_at_all),
        CURVE_TEST(test_a_service_that_the_key_may_not_serve),
        CURVE_TEST(test_a_key_that_is_removed_is_cut_off),
        CURVE_TEST(test_rights_that_change),
        CURVE_TEST(test_the_broker_changes_its_key),
        CURVE_TEST(test_what_does_not_start),
        CURVE_TEST(test_plain_follows_no_name_beyond_loopback),
        CURVE_TEST(test_a_plain_peer_of_a_broker_with_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
