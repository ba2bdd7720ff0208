/* A run's allow-list of tools. */
#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "services/worker/tool_allow.h"

static void nothing_said_allows_all(void **state)
{
    (void)state;
    AUTOJSON json_t *text = json_string("google");
    AUTOJSON json_t *none = json_array();
    assert_true(tool_allow(NULL, "s", "t", "s__t"));
    assert_true(tool_allow(text, "s", "t", "s__t"));
    assert_true(tool_allow_server(NULL, "s"));
    assert_false(tool_allow(none, "s", "t", "s__t"));
    assert_false(tool_allow_server(none, "s"));
}

static void servers_and_tools(void **state)
{
    (void)state;
    AUTOJSON json_t *allow =
        json_pack("[s, s, s, i]", "google", "my_files__read_all", "old files__a.b", 7);
    assert_true(tool_allow(allow, "google", "x", "google__x"));
    assert_false(tool_allow(allow, "google2", "x", "google2__x"));
    assert_false(tool_allow(allow, "goo", "gle", "goo__gle"));
    assert_true(tool_allow(allow, "my files", "read/all", "my_files__read_all"));
    assert_false(tool_allow(allow, "my files", "write", "my_files__write"));
    assert_true(tool_allow(allow, "old files", "a.b", "old_files__a_b"));
    assert_true(tool_allow_server(allow, "google"));
    assert_true(tool_allow_server(allow, "my files"));
    assert_true(tool_allow_server(allow, "old files"));
    assert_false(tool_allow_server(allow, "my"));
    assert_false(tool_allow_server(allow, "other"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_allows_all),
        cmocka_unit_test(servers_and_tools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
