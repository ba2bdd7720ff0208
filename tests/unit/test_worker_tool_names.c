#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/tool_names.h"

static void names_lead_back(void **state)
{
    (void)state;
    struct tool_names *names = tool_names_new();
    const struct tool *tool = tool_names_add(names, 3, "my server", "files.read/all", NULL);
    assert_string_equal(tool->name, "my_server__files_read_all");
    tool = tool_names_find(names, "my_server__files_read_all");
    assert_string_equal(tool->server_tool, "files.read/all");
    assert_int_equal(tool->server, 3);
    assert_null(tool_names_find(names, "files.read/all"));
    tool_names_destroy(&names);
    assert_null(names);
}

static void collisions_get_a_suffix(void **state)
{
    (void)state;
    struct tool_names *names = tool_names_new();
    char lengthy[100];
    memset(lengthy, 'a', 99);
    lengthy[99] = '\0';
    assert_string_equal(tool_names_add(names, 0, "s", "a.b", NULL)->name, "s__a_b");
    assert_string_equal(tool_names_add(names, 0, "s", "a-b", NULL)->name, "s__a-b");
    assert_string_equal(tool_names_add(names, 1, "s", "a/b", NULL)->name, "s__a_b_2");
    assert_string_equal(tool_names_add(names, 2, "s", "a b", NULL)->name, "s__a_b_3");
    assert_int_equal(strlen(tool_names_add(names, 0, "s", lengthy, NULL)->name), 64);
    const struct tool *second = tool_names_add(names, 1, "s", lengthy, NULL);
    assert_int_equal(strlen(second->name), 64);
    assert_string_equal(second->name + 62, "_2");
    tool_names_destroy(&names);
}

static void there_is_an_end(void **state)
{
    (void)state;
    struct tool_names *names = tool_names_new();
    for (int i = 0; i < TOOLS_MAX; i++)
        assert_non_null(tool_names_add(names, 0, "s", "same", NULL));
    assert_null(tool_names_add(names, 0, "s", "more", NULL));
    assert_int_equal(tool_names_count(names), TOOLS_MAX);
    tool_names_destroy(&names);
}

static const struct tool *hinted(struct tool_names *names, const char *annotations)
{
    AUTOJSON json_t *hints = json_loads(annotations, 0, NULL);
    assert_non_null(hints);
    return tool_names_add(names, 0, "s", "t", hints);
}

static void what_a_server_says_of_its_tool(void **state)
{
    (void)state;
    struct tool_names *names = tool_names_new();
    const struct tool *tool = hinted(names, "{}"); /* MCP: it may do anything */
    assert_false(tool->repeatable);
    assert_false(tool->destructive);
    assert_true(hinted(names, "{\"readOnlyHint\": true}")->repeatable);
    assert_true(hinted(names, "{\"idempotentHint\": true}")->repeatable);
    assert_true(hinted(names, "{\"destructiveHint\": true}")->destructive);
    assert_false(hinted(names, "{\"destructiveHint\": \"yes\"}")->destructive);
    tool = hinted(names, "{\"readOnlyHint\": true, \"destructiveHint\": true}");
    assert_false(tool->destructive);
    assert_true(tool->repeatable);
    tool_names_destroy(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_back),
        cmocka_unit_test(collisions_get_a_suffix),
        cmocka_unit_test(there_is_an_end),
        cmocka_unit_test(what_a_server_says_of_its_tool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
