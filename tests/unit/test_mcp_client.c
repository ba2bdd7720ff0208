/* The client's eras, versions and rounds, against a server that follows a script. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <unistd.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_client.h"

#define SERVER MCPBUS_SOURCE_DIR "/tests/fixtures/mcp_eras.py"

enum { PATIENCE_MS = 60000, WAIT_MS = 2 * PATIENCE_MS };

static struct loop *loop;
static int64_t probe_ms = PATIENCE_MS; /* a busy machine must not be taken for an old server */

static json_t *spec(const char *const *args)
{
    json_t *list = json_array();
    for (; args && *args; args++)
        json_array_append_new(list, json_string(*args));
    return json_pack("{s:s, s:s, s:o, s:{s:s}}", "name", "it", "command", SERVER, "args", list,
                     "env", "PATH", "/usr/bin:/bin");
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct mcp_client *make(const char *const *args, const json_t *known)
{
    AUTOJSON json_t *json = spec(args);
    struct mcp_client_options options = {
        .loop = loop, .spec = json, .known = known, .probe_ms = probe_ms};
    return mcp_client_new(&options);
}

static bool is_idle(void *arg)
{
    return !mcp_client_busy(arg);
}

static void list(struct mcp_client *client)
{
    mcp_client_list(client, clock_ms() + PATIENCE_MS);
    assert_true(loop_wait_until(loop, is_idle, client, WAIT_MS));
}

static struct mcp_client *started(const char *const *args)
{
    struct mcp_client *client = make(args, NULL);
    list(client);
    if (mcp_client_state(client) != MCP_READY)
        fail_msg("not ready: %s", mcp_client_why(client));
    return client;
}

static bool is_done(void *arg)
{
    return ((struct mcp_call *)arg)->done;
}

static void wait_for(struct mcp_client *client, struct mcp_call *call)
{
    mcp_client_call(client, call);
    assert_true(loop_wait_until(loop, is_done, call, WAIT_MS));
}

static char *call_for(struct mcp_client *client, enum mcp_call_kind kind, const char *tool,
                      const char *arguments, int64_t ms, bool *ret_is_error)
{
    AUTOJSON json_t *json = json_loads(arguments, 0, NULL);
    struct mcp_call call = {.kind = kind,
                            .tool = tool,
                            .arguments = json,
                            .text_max = 100000,
                            .deadline = clock_ms() + ms};
    wait_for(client, &call);
    *ret_is_error = call.is_error;
    return call.text;
}

static void expect(struct mcp_client *client, const char *tool, const char *arguments,
                   bool is_error, const char *part)
{
    bool error;
    AUTOFREE char *text = call_for(client, MCP_CALL_TOOL, tool, arguments, PATIENCE_MS, &error);
    if (error != is_error || !strstr(text, part))
        fail_msg("%s said %d \"%s\", not \"%s\"", tool, error, text, part);
}

/* The messages that the server has had, as JSON text; free() it. */
static char *received(struct mcp_client *client)
{
    bool error;
    char *text = call_for(client, MCP_CALL_TOOL, "received", "{}", PATIENCE_MS, &error);
    assert_false(error);
    return text;
}

static size_t count(const char *text, const char *part)
{
    size_t found = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        found++;
    return found;
}

static bool has_stopped(void *arg)
{
    return mcp_client_stopped(arg);
}

static void end(struct mcp_client **client_p)
{
    mcp_client_stop(*client_p);
    assert_true(loop_run_until(loop, has_stopped, *client_p, PATIENCE_MS));
    mcp_client_destroy(client_p);
}

static void the_stateless_era(void **state)
{
    (void)state;
    struct mcp_client *client = started(NULL);
    assert_string_equal(mcp_client_version(client), "2026-07-28");
    assert_int_equal(json_array_size(mcp_client_tools(client)), 11);
    assert_string_equal(mcp_client_instructions(client), "Be kind.");
    AUTOJSON json_t *tools = json_deep_copy(mcp_client_tools(client));
    mcp_client_pack_tools(client);
    mcp_client_pack_tools(client);
    assert_true(json_equal(tools, mcp_client_tools(client)));
    mcp_client_pack_tools(client);
    expect(client, "echo", "{\"text\":\"hello\"}", false, "hello");
    AUTOFREE char *had = received(client);
    assert_null(strstr(had, "\"initialize\""));
    size_t messages = count(had, "\"method\": ");
    assert_int_equal(count(had, "\"io.modelcontextprotocol/protocolVersion\": \"2026-07-28\""),
                     messages);
    assert_int_equal(count(had, "\"io.modelcontextprotocol/clientCapabilities\": "
                                "{\"elicitation\": {\"form\": {}}}"),
                     messages);
    assert_int_equal(count(had, "\"io.modelcontextprotocol/clientInfo\""), messages);
    assert_int_equal(count(had, "subscriptions/listen"), 1);
    AUTOJSON json_t *known = mcp_client_known(client);
    assert_string_equal(js_str(known, "era", ""), "modern");
    assert_int_equal(js_int(known, "ttl_ms", 0), 60000);
    assert_true(js_bool(known, "private", false));
    end(&client);
}

static void every_older_version(void **state)
{
    (void)state;
    static const char *const versions[] = {"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct mcp_client *client = started(ARGS("--era", "legacy", "--version", versions[i]));
        assert_string_equal(mcp_client_version(client), versions[i]);
        assert_int_equal(json_array_size(mcp_client_tools(client)), 11);
        expect(client, "echo", "{\"text\":\"hello\"}", false, "hello");
        AUTOFREE char *had = received(client);
        assert_int_equal(count(had, "\"notifications/initialized\""), 1);
        /* Only the probe was of the other era. */
        assert_int_equal(count(had, "io.modelcontextprotocol/protocolVersion"), 1);
        AUTOJSON json_t *known = mcp_client_known(client);
        assert_string_equal(js_str(known, "era", ""), "legacy");
        end(&client);
    }
}

static void servers_that_the_probe_upsets(void **state)
{
    (void)state;
    const char *const *const upset[] = {
        ARGS("--era", "legacy", "--discover", "exit"),
        ARGS("--era", "legacy", "--strict"),
        ARGS("--discover", "older", "--version", "2025-06-18"),
        ARGS("--discover", "refuse"),
    };
    for (size_t i = 0; i < sizeof upset / sizeof *upset; i++) {
        struct mcp_client *client = started(upset[i]);
        AUTOJSON json_t *known = mcp_client_known(client);
        assert_string_equal(js_str(known, "era", ""), "legacy");
        expect(client, "echo", "{\"text\":\"hello\"}", false, "hello");
        end(&client);
    }
}

/* Initialize is under way already when they answer. */
static void servers_that_take_their_time(void **state)
{
    (void)state;
    probe_ms = 300;
    struct mcp_client *silent = make(ARGS("--era", "legacy", "--discover", "silent"), NULL);
    struct mcp_client *late = make(ARGS("--era", "modern", "--discover", "late"), NULL);
    mcp_client_list(silent, clock_ms() + PATIENCE_MS);
    list(late);
    list(silent);
    assert_string_equal(mcp_client_why(silent), "");
    assert_string_equal(mcp_client_version(silent), "2025-11-25");
    assert_string_equal(mcp_client_why(late), "");
    assert_string_equal(mcp_client_version(late), "2026-07-28");
    expect(silent, "echo", "{\"text\":\"hello\"}", false, "hello");
    expect(late, "echo", "{\"text\":\"hello\"}", false, "hello");
    end(&silent);
    end(&late);
    probe_ms = PATIENCE_MS;
}

static void a_version_that_is_refused_once(void **state)
{
    (void)state;
    struct mcp_client *client = started(ARGS("--era", "modern", "--discover", "once"));
    AUTOFREE char *had = received(client);
    assert_int_equal(count(had, "server/discover"), 2);
    assert_null(strstr(had, "\"initialize\""));
    end(&client);
}

static void what_is_known_starts_nothing(void **state)
{
    (void)state;
    char path[] = "/tmp/mcpbus-discover-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    const char *const args[] = {"--era", "legacy", "--log-discover", path, NULL};
    struct mcp_client *first = started(args);
    AUTOJSON json_t *known = mcp_client_known(first);
    end(&first);
    assert_int_equal(lseek(fd, 0, SEEK_END), strlen("discover\n"));
    struct mcp_client *client = make(args, known);
    list(client);
    assert_int_equal(mcp_client_state(client), MCP_IDLE);
    assert_int_equal(json_array_size(mcp_client_tools(client)), 11);
    assert_true(mcp_client_has_resources(client));
    expect(client, "echo", "{\"text\":\"hello\"}", false, "hello");
    assert_int_equal(mcp_client_state(client), MCP_READY);
    assert_int_equal(mcp_client_lists(client), 0);
    AUTOFREE char *had = received(client);
    assert_null(strstr(had, "tools/list"));
    assert_int_equal(lseek(fd, 0, SEEK_END), strlen("discover\n")); /* the verdict is kept */
    end(&client);
    close(fd);
    unlink(path);
}

static void what_is_stale_is_listed_at_the_start(void **state)
{
    (void)state;
    static const char *const eras[] = {"legacy", "modern"};
    for (size_t i = 0; i < 2; i++) {
        AUTOJSON json_t *known =
            json_pack("{s:s, s:[{s:s}], s:b}", "era", eras[i], "tools", "name", "old", "stale", 1);
        struct mcp_client *client = make(ARGS("--era", eras[i]), known);
        list(client);
        assert_int_equal(mcp_client_state(client), MCP_IDLE);
        expect(client, "echo", "{\"text\":\"hello\"}", false, "hello");
        assert_int_equal(json_array_size(mcp_client_tools(client)), 11);
        assert_int_equal(mcp_client_lists(client), 1);
        end(&client);
    }
}

/* What was remembered is of another server: it is found out, and its tools are listed. */
static void what_is_known_may_be_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *known, *is;
    } wrong[] = {{"legacy", "modern"}, {"modern", "legacy"}};
    for (size_t i = 0; i < 2; i++) {
        AUTOJSON json_t *known =
            json_pack("{s:s, s:[{s:s}]}", "era", wrong[i].known, "tools", "name", "old");
        struct mcp_client *client = make(ARGS("--era", wrong[i].is), known);
        expect(client, "echo", "{\"text\":\"hello\"}", false, "hello");
        assert_int_equal(json_array_size(mcp_client_tools(client)), 11);
        AUTOJSON json_t *now = mcp_client_known(client);
        assert_string_equal(js_str(now, "era", ""), wrong[i].is);
        end(&client);
    }
}

static void a_refused_call_makes_the_list_stale(void **state)
{
    (void)state;
    AUTOJSON json_t *known =
        json_pack("{s:s, s:[{s:s}]}", "era", "legacy", "tools", "name", "gone");
    struct mcp_client *client = make(ARGS("--era", "legacy"), known);
    expect(client, "gone", "{}", true, "Unknown tool");
    assert_true(mcp_client_stale(client));
    list(client);
    assert_int_equal(json_array_size(mcp_client_tools(client)), 11);
    end(&client);
}

static void rounds_of_input(void **state)
{
    (void)state;
    struct mcp_client *client = started(ARGS("--era", "modern"));
    expect(client, "ask", "{}", false,
           "{\"state\": \"two\", \"again\": false, "
           "\"who\": {\"action\": \"accept\", \"content\": {\"name\": \"Ann\", \"age\": 7}}, "
           "\"sure\": {\"action\": \"decline\"}}");
    expect(client, "ask_for_ever", "{}", true, "asks for input that nobody can give");
    expect(client, "ask_model", "{}", true, "asks for input that nobody can give");
    AUTOFREE char *had = received(client);
    AUTOJSON json_t *messages = json_loads(had, 0, NULL);
    AUTOJSON json_t *ids = json_object();
    size_t index;
    json_t *message;
    json_array_foreach(messages, index, message)
    {
        char id[24];
        snprintf(id, sizeof id, "%lld", (long long)js_int(message, "id", 0));
        assert_null(json_object_get(ids, id));
        json_object_set_new(ids, id, json_true());
    }
    /* Nothing of one call's state is in another's. */
    const json_t *last = json_object_get(json_array_get(messages, index - 1), "params");
    assert_null(json_object_get(last, "requestState"));
    assert_null(json_object_get(last, "inputResponses"));
    end(&client);
}

static void elicitation_in_the_older_era(void **state)
{
    (void)state;
    struct mcp_client *client = started(ARGS("--era", "legacy"));
    expect(client, "elicit", "{}", false,
           "[{\"action\": \"accept\", \"content\": {\"name\": \"Ann\", \"age\": 7}}, "
           "{\"action\": \"decline\"}]");
    AUTOFREE char *had = received(client);
    assert_non_null(strstr(had, "\"capabilities\": {\"elicitation\": {\"form\": {}}}"));
    end(&client);
}

static bool is_kept_private(struct mcp_client *client)
{
    AUTOJSON json_t *known = mcp_client_known(client);
    return js_bool(known, "private", false);
}

static void tools_that_come_later(void **state)
{
    (void)state;
    static const char *const eras[] = {"legacy", "modern"};
    for (size_t i = 0; i < 2; i++) {
        struct mcp_client *client = started(ARGS("--public", "--era", eras[i]));
        unsigned lists = mcp_client_lists(client);
        assert_false(mcp_client_stale(client));
        assert_false(is_kept_private(client));
        expect(client, "grow", "{}", false, "grown");
        assert_true(mcp_client_stale(client));
        list(client);
        assert_false(mcp_client_stale(client));
        assert_int_equal(mcp_client_lists(client), lists + 1);
        assert_int_equal(json_array_size(mcp_client_tools(client)), 12);
        assert_true(is_kept_private(client)); /* it is what this user's call has made of it */
        end(&client);
    }
}

static void resources_are_listed_and_read(void **state)
{
    (void)state;
    static const char *const eras[] = {"legacy", "modern"};
    for (size_t i = 0; i < 2; i++) {
        bool error;
        struct mcp_client *client = started(ARGS("--era", eras[i]));
        assert_true(mcp_client_has_resources(client));
        AUTOFREE char *lines =
            call_for(client, MCP_LIST_RESOURCES, NULL, "{}", PATIENCE_MS, &error);
        assert_false(error);
        assert_string_equal(lines, "one: test://one, 3 bytes (the first)\n"
                                   "two: test://two, text/plain\n"
                                   "template any: test://{name}\n");
        AUTOFREE char *one = call_for(client, MCP_READ_RESOURCE, NULL, "{\"uri\":\"test://one\"}",
                                      PATIENCE_MS, &error);
        assert_false(error);
        assert_string_equal(one, "[resource test://one, text/plain]\none!\n"
                                 "[resource test://one, image/png, 3 bytes, not shown]");
        AUTOFREE char *none = call_for(client, MCP_READ_RESOURCE, NULL, "{\"uri\":\"test://no\"}",
                                       PATIENCE_MS, &error);
        assert_true(error);
        assert_non_null(strstr(none, "Resource not found"));
        end(&client);
    }
}

static void a_call_that_is_given_up_is_cancelled(void **state)
{
    (void)state;
    static const char *const eras[] = {"legacy", "modern"};
    for (size_t i = 0; i < 2; i++) {
        bool error;
        struct mcp_client *client = started(ARGS("--era", eras[i]));
        AUTOFREE char *text = call_for(client, MCP_CALL_TOOL, "wait", "{}", 100, &error);
        assert_true(error);
        assert_non_null(strstr(text, "no answer within"));
        AUTOFREE char *had = received(client);
        assert_int_equal(count(had, "\"notifications/cancelled\""), 1);
        end(&client);
    }
}

static void floods_and_odd_text(void **state)
{
    (void)state;
    struct mcp_client *client = started(NULL);
    expect(client, "flood", "{}", false, "after the flood");
    expect(client, "halves", "{}", false, "a\uFFFDb\uFFFDc\U0001F600");
    expect(client, "long_line", "{}", true, "a line that is too long");
    assert_int_equal(mcp_client_state(client), MCP_FAILED);
    expect(client, "echo", "{}", true, "is not available");
    end(&client);
}

static void a_list_has_an_end(void **state)
{
    (void)state;
    struct mcp_client *client = started(ARGS("--fat"));
    size_t count = json_array_size(mcp_client_tools(client));
    assert_in_range(count, 8, 41);
    json_t *first = json_array_get(mcp_client_tools(client), 0);
    assert_string_equal(js_str(first, "name", ""), "fat0");
    assert_string_equal(js_str(json_array_get(mcp_client_tools(client), 1), "name", ""), "fat4");
    end(&client);
}

static bool rests(void *arg)
{
    return mcp_client_state(arg) == MCP_IDLE;
}

static void a_server_that_is_not_called_rests(void **state)
{
    (void)state;
    static const char *const eras[] = {"legacy", "modern"};
    for (size_t i = 0; i < 2; i++) {
        AUTOJSON json_t *json = spec(ARGS("--era", eras[i]));
        struct mcp_client_options options = {
            .loop = loop, .spec = json, .rest_ms = 50, .probe_ms = probe_ms};
        struct mcp_client *client = mcp_client_new(&options);
        list(client);
        assert_true(loop_wait_until(loop, rests, client, PATIENCE_MS));
        assert_int_equal(json_array_size(mcp_client_tools(client)), 11);
        expect(client, "echo", "{\"text\":\"hello\"}", false, "hello");
        assert_false(loop_wait_until(loop, rests, client, 200));
        AUTOFREE char *had = received(client);
        assert_null(strstr(had, "tools/list"));
        end(&client);
    }
}

/* A client may go at any time, with whatever is under way. */
static void ends_at_any_time(void **state)
{
    (void)state;
    AUTOJSON json_t *arguments = json_object();
    for (int64_t turns = 0; turns < 12; turns++) {
        struct mcp_call call = {.tool = "wait",
                                .arguments = arguments,
                                .text_max = 100,
                                .deadline = clock_ms() + PATIENCE_MS};
        struct mcp_client *client = make(turns % 2 ? ARGS("--discover", "exit") : NULL, NULL);
        mcp_client_call(client, &call);
        loop_run_until(loop, is_done, &call, turns * 10);
        mcp_client_destroy(&client);
        assert_null(client);
        if (call.done)
            free(call.text);
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    loop = loop_new();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stateless_era),
        cmocka_unit_test(every_older_version),
        cmocka_unit_test(servers_that_the_probe_upsets),
        cmocka_unit_test(servers_that_take_their_time),
        cmocka_unit_test(a_version_that_is_refused_once),
        cmocka_unit_test(what_is_known_starts_nothing),
        cmocka_unit_test(what_is_stale_is_listed_at_the_start),
        cmocka_unit_test(what_is_known_may_be_wrong),
        cmocka_unit_test(a_refused_call_makes_the_list_stale),
        cmocka_unit_test(rounds_of_input),
        cmocka_unit_test(elicitation_in_the_older_era),
        cmocka_unit_test(tools_that_come_later),
        cmocka_unit_test(resources_are_listed_and_read),
        cmocka_unit_test(a_call_that_is_given_up_is_cancelled),
        cmocka_unit_test(floods_and_odd_text),
        cmocka_unit_test(a_list_has_an_end),
        cmocka_unit_test(a_server_that_is_not_called_rests),
        cmocka_unit_test(ends_at_any_time),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_destroy(&loop);
    return failed;
}
