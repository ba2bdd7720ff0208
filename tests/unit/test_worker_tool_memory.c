#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/tool_memory.h"

static json_t *frame(const char *tool, const char *more)
{
    AUTOJSON json_t *extra = json_loads(more, 0, NULL);
    json_t *json = json_pack("{s:s, s:[{s:s}]}", "era", "legacy", "tools", "name", tool);
    json_object_update(json, extra);
    return json;
}

static void put(struct tool_memory *memory, const char *key, const char *user, const char *tool,
                const char *more, int64_t now)
{
    AUTOJSON json_t *json = frame(tool, more);
    tool_memory_put(memory, key, user, json, now);
}

/* The first tool that is known of the server with that key; free() it. NULL: none. */
static char *first_tool(struct tool_memory *memory, const char *key, const char *user, int64_t now)
{
    AUTOJSON json_t *servers = json_pack("[{s:s, s:s}]", "name", "it", "key", key);
    AUTOJSON json_t *known = tool_memory_known(memory, servers, user, now);
    const json_t *tools = json_object_get(json_object_get(known, "it"), "tools");
    return mem_strdup_opt(js_str(json_array_get(tools, 0), "name", NULL));
}

#define expect_tool(memory, key, user, now, want)                 \
    do {                                                          \
        AUTOFREE char *got_ = first_tool(memory, key, user, now); \
        assert_non_null(got_);                                    \
        assert_string_equal(got_, want);                          \
    } while (0)
#define expect_nothing(memory, key, user, now) assert_null(first_tool(memory, key, user, now))

static void a_list_is_known_until_it_is_old(void **state)
{
    (void)state;
    struct tool_memory *memory = tool_memory_new();
    expect_nothing(memory, "k", "alice", 0);
    put(memory, "k", "alice", "one", "{}", 1000);
    expect_tool(memory, "k", "bob", 1001, "one");
    expect_nothing(memory, "other", "alice", 1001);
    put(memory, "k", "bob", "two", "{}", 2000);
    expect_tool(memory, "k", "alice", 2000 + TOOL_MEMORY_AGE_MS - 1, "two");
    expect_nothing(memory, "k", "alice", 2000 + TOOL_MEMORY_AGE_MS);
    tool_memory_destroy(&memory);
    assert_null(memory);
}

static bool is_stale(struct tool_memory *memory, int64_t now)
{
    AUTOJSON json_t *servers = json_pack("[{s:s, s:s}]", "name", "it", "key", "k");
    AUTOJSON json_t *known = tool_memory_known(memory, servers, "alice", now);
    return js_bool(json_object_get(known, "it"), "stale", false);
}

static void a_server_may_say_how_long(void **state)
{
    (void)state;
    struct tool_memory *memory = tool_memory_new();
    put(memory, "k", "alice", "one", "{\"ttl_ms\":500}", 1000);
    assert_false(is_stale(memory, 1499));
    assert_true(is_stale(memory, 1500));
    expect_tool(memory, "k", "alice", 1500, "one"); /* better than to start it for nothing */
    put(memory, "k", "alice", "one", "{}", 2000);
    assert_false(is_stale(memory, 2000));
    put(memory, "k", "alice", "one", "{\"ttl_ms\":0}", 3000);
    assert_true(is_stale(memory, 3000));
    put(memory, "k", "alice", "one", "{\"ttl_ms\":86400000}", 0);
    expect_nothing(memory, "k", "alice", TOOL_MEMORY_AGE_MS);
    tool_memory_destroy(&memory);
}

static void what_is_private_is_shown_to_nobody_else(void **state)
{
    (void)state;
    struct tool_memory *memory = tool_memory_new();
    put(memory, "k", "alice", "hers", "{\"private\":true}", 0);
    expect_tool(memory, "k", "alice", 1, "hers");
    expect_nothing(memory, "k", "bob", 1);
    put(memory, "k", "bob", "his", "{\"private\":true}", 0);
    expect_tool(memory, "k", "alice", 1, "hers");
    expect_tool(memory, "k", "bob", 1, "his");
    tool_memory_destroy(&memory);
}

static void what_failed_is_forgotten(void **state)
{
    (void)state;
    struct tool_memory *memory = tool_memory_new();
    AUTOJSON json_t *failed = json_object();
    put(memory, "k", "alice", "one", "{}", 0);
    tool_memory_put(memory, "k", "alice", failed, 1);
    expect_nothing(memory, "k", "alice", 1);
    put(memory, "k", "alice", "hers", "{\"private\":true}", 0);
    tool_memory_put(memory, "k", "alice", failed, 1);
    expect_nothing(memory, "k", "alice", 1);
    tool_memory_destroy(&memory);
}

static void it_has_bounds(void **state)
{
    (void)state;
    struct tool_memory *memory = tool_memory_new();
    char key[16];
    for (int i = 0; i < TOOL_MEMORY_ENTRIES_MAX; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put(memory, key, "alice", "one", "{}", i);
    }
    expect_tool(memory, "k0", "alice", 5000, "one"); /* used, so another has to go */
    put(memory, "last", "alice", "one", "{}", 5001);
    expect_tool(memory, "k0", "alice", 5002, "one");
    expect_tool(memory, "last", "alice", 5002, "one");
    expect_nothing(memory, "k1", "alice", 5002);
    AUTOFREE char *large = mem_alloc(TOOL_MEMORY_ENTRY_MAX + 1);
    memset(large, 'x', TOOL_MEMORY_ENTRY_MAX);
    put(memory, "last", "alice", large, "{}", 5003);
    expect_nothing(memory, "last", "alice", 5003);
    large[TOOL_MEMORY_ENTRY_MAX - 1000] = '\0';
    for (int i = 0; i < 64; i++) {
        snprintf(key, sizeof key, "large%d", i);
        put(memory, key, "alice", large, "{}", 6000 + i);
    }
    expect_nothing(memory, "large0", "alice", 7000);
    expect_nothing(memory, "k0", "alice", 7000);
    expect_tool(memory, "large63", "alice", 7000, large);
    tool_memory_destroy(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_known_until_it_is_old),
        cmocka_unit_test(a_server_may_say_how_long),
        cmocka_unit_test(what_is_private_is_shown_to_nobody_else),
        cmocka_unit_test(what_failed_is_forgotten),
        cmocka_unit_test(it_has_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
