#include "tests/unit/unit.h"

#include <signal.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/clock.h"
#include "libmcp/mcp_pool.h"

#define SERVER MCPBUS_SOURCE_DIR "/tests/fixtures/mcp_server.py"

static struct loop *loop;

struct heard {
    size_t progress;
};

static void on_progress(void *arg, const struct mcp_call *call, const json_t *params)
{
    (void)call;
    assert_true(json_is_number(json_object_get(params, "progress")));
    ((struct heard *)arg)->progress++;
}

static json_t *spec(const char *name, const char *option, const char *value)
{
    json_t *args = json_array();
    if (option)
        json_array_append_new(args, json_string(option));
    if (value)
        json_array_append_new(args, json_string(value));
    return json_pack("{s:s, s:s, s:o, s:{s:s, s:s}}", "name", name, "command", SERVER, "args", args,
                     "env", "PATH", "/usr/bin:/bin", "TEST_SECRET", "hunter22");
}

static struct mcp_pool *start(json_t *specs, int64_t timeout_ms, struct heard *heard)
{
    struct mcp_pool_options options = {
        .loop = loop, .specs = specs, .on_progress = on_progress, .arg = heard};
    struct mcp_pool *pool = mcp_pool_new(&options);
    mcp_pool_list(pool, clock_ms() + timeout_ms);
    json_decref(specs);
    return pool;
}

static struct mcp_pool *start_one(const char *option, const char *value, int64_t timeout_ms)
{
    static struct heard ignored;
    return start(json_pack("[o]", spec("one", option, value)), timeout_ms, &ignored);
}

static struct mcp_call begin(struct mcp_pool *pool, const char *tool, const char *arguments,
                             int64_t timeout_ms)
{
    (void)pool;
    return (struct mcp_call){.tool = tool,
                             .arguments = json_loads(arguments, 0, NULL),
                             .text_max = 1000,
                             .deadline = clock_ms() + timeout_ms};
}

static bool is_done(void *arg)
{
    return ((struct mcp_call *)arg)->done;
}

static void wait_for(struct mcp_call *call)
{
    assert_true(loop_wait_until(loop, is_done, call, 60000));
}

static char *do_call(struct mcp_pool *pool, const char *tool, const char *arguments,
                     bool *ret_is_error)
{
    struct mcp_call call = begin(pool, tool, arguments, 10000);
    mcp_client_call(mcp_pool_client(pool, 0), &call);
    wait_for(&call);
    json_decref(call.arguments);
    *ret_is_error = call.is_error;
    return call.text;
}

static void expect(struct mcp_pool *pool, const char *tool, const char *arguments, bool is_error,
                   const char *part)
{
    bool error;
    AUTOFREE char *text = do_call(pool, tool, arguments, &error);
    if (error != is_error || !strstr(text, part))
        fail_msg("%s said %d \"%s\", not \"%s\"", tool, error, text, part);
}

static void tools_are_listed_over_pages_and_called(void **state)
{
    (void)state;
    struct mcp_pool *pool = start_one("--pages", "5", 20000);
    struct mcp_client *client = mcp_pool_client(pool, 0);
    assert_int_equal(mcp_client_state(client), MCP_READY);
    assert_int_equal(json_array_size(mcp_client_tools(client)), 17);
    expect(pool, "echo", "{\"text\":\"h\\u00e9\"}", false, "hé");
    expect(pool, "fail", "{}", true, "it went wrong");
    expect(pool, "refuse", "{}", true, "no such luck");
    expect(pool, "garbage", "{}", false, "after garbage");
    expect(pool, "ping_me", "{}", false, "pong");
    expect(pool, "structured", "{}", false, "{\"a\":1}");
    expect(pool, "big", "{\"bytes\":1000000}", false, "[cut");
    expect(pool, "env", "{}", false, "\"TEST_SECRET\": \"hunter22\"");
    mcp_pool_destroy(&pool);
}

static void calls_to_one_server_run_at_once(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct mcp_pool *pool = start(json_pack("[o]", spec("one", NULL, NULL)), 20000, &heard);
    struct mcp_call calls[4];
    int64_t begun = clock_ms();
    for (int i = 0; i < 4; i++) {
        calls[i] = begin(pool, "slow", "{\"seconds\":1.5}", 20000);
        mcp_client_call(mcp_pool_client(pool, 0), &calls[i]);
    }
    for (int i = 0; i < 4; i++) {
        wait_for(&calls[i]);
        assert_string_equal(calls[i].text, "done");
        free(calls[i].text);
        json_decref(calls[i].arguments);
    }
    assert_true(clock_ms() - begun < 5000); /* one after another: six seconds */
    assert_int_equal(heard.progress, 16);
    mcp_pool_destroy(&pool);
}

static void a_late_or_lost_call_is_answered(void **state)
{
    (void)state;
    struct mcp_pool *pool = start_one(NULL, NULL, 20000);
    struct mcp_call call = begin(pool, "slow", "{\"seconds\":30}", 200);
    mcp_client_call(mcp_pool_client(pool, 0), &call);
    wait_for(&call);
    assert_true(call.is_error);
    assert_non_null(strstr(call.text, "no answer within"));
    free(call.text);
    json_decref(call.arguments);
    expect(pool, "die", "{}", true, "was lost before it answered");
    expect(pool, "echo", "{}", true, "is not available");
    mcp_pool_destroy(&pool);
}

static void servers_that_cannot_start_say_why(void **state)
{
    (void)state;
    struct heard heard = {0};
    json_t *missing = json_pack("{s:s, s:s, s:[], s:{}}", "name", "missing", "command",
                                "/nonexistent/server", "args", "env");
    json_t *away = json_pack("{s:s, s:s}", "name", "away", "unavailable", "sign in again");
    struct mcp_pool *pool =
        start(json_pack("[o, o, o, o, o, o]", missing, away, spec("exits", "--exit", NULL),
                        spec("old", "--version", "1999-01-01"), spec("refuses", "--refuse", NULL),
                        spec("works", "--garbage", NULL)),
              20000, &heard);
    static const char *const why[] = {"No such file", "sign in again", "it ended",
                                      "1999-01-01",   "not today",     ""};
    for (size_t i = 0; i < 6; i++)
        if (!strstr(mcp_client_why(mcp_pool_client(pool, i)), why[i]))
            fail_msg("%zu: %s", i, mcp_client_why(mcp_pool_client(pool, i)));
    assert_null(strstr(mcp_client_why(mcp_pool_client(pool, 4)), "hunter22"));
    assert_int_equal(mcp_client_state(mcp_pool_client(pool, 5)), MCP_READY);
    mcp_pool_destroy(&pool);
}

static void a_silent_server_is_given_up(void **state)
{
    (void)state;
    int64_t begun = clock_ms();
    struct mcp_pool *pool = start_one("--silent", NULL, 300);
    assert_non_null(strstr(mcp_client_why(mcp_pool_client(pool, 0)), "in time"));
    assert_true(clock_ms() - begun < 15000);
    mcp_pool_destroy(&pool);
}

static void a_stubborn_server_is_killed(void **state)
{
    (void)state;
    struct mcp_pool *pool = start_one("--stubborn", NULL, 20000);
    int64_t begun = clock_ms();
    mcp_pool_destroy(&pool);
    assert_true(clock_ms() - begun >= 500);
    assert_true(clock_ms() - begun < 15000);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    loop = loop_new();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tools_are_listed_over_pages_and_called),
        cmocka_unit_test(calls_to_one_server_run_at_once),
        cmocka_unit_test(a_late_or_lost_call_is_answered),
        cmocka_unit_test(servers_that_cannot_start_say_why),
        cmocka_unit_test(a_silent_server_is_given_up),
        cmocka_unit_test(a_stubborn_server_is_killed),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_destroy(&loop);
    return failed;
}
