#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_message.h"

static void kinds_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum mcp_kind kind;
    } lines[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", MCP_RESULT},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1,\"message\":\"m\"}}", MCP_ERROR},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"ping\"}", MCP_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\",\"params\":{}}", MCP_NOTIFICATION},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct mcp_message message;
        assert_int_equal(mcp_message_parse(lines[i].line, strlen(lines[i].line), &message), ERR_OK);
        assert_int_equal(message.kind, lines[i].kind);
        json_decref(message.json);
    }
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"",
                                        "hello",
                                        "[1,2]",
                                        "{}",
                                        "{\"id\":1}",
                                        "{\"id\":\"1\",\"result\":{}}",
                                        "{\"id\":1,\"result\":3}",
                                        "{\"method\":1}",
                                        "{\"method\":\"x\",\"id\":{}}",
                                        "null"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct mcp_message message;
        assert_int_equal(mcp_message_parse(lines[i], strlen(lines[i]), &message), ERR_INVALID);
    }
}

static void what_json_stringify_writes_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
    } texts[] = {
        {"[\"a\\ud83d\"]", "a\uFFFD"},          {"[\"\\uDE00b\"]", "\uFFFDb"},
        {"[\"\\ud83d\\ude00\"]", "\U0001F600"}, {"[\"\\ud83d\\ud83d\\ude00\"]", "\uFFFD\U0001F600"},
        {"[\"x\\u0000y\"]", "x\uFFFDy"},        {"[\"\\\\ud83d\\u0000\"]", "\\ud83d\uFFFD"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *json = NULL;
        assert_int_equal(mcp_json_parse(texts[i].json, strlen(texts[i].json), &json), ERR_OK);
        assert_string_equal(json_string_value(json_array_get(json, 0)), texts[i].text);
        json_decref(json);
    }
    static const char *const bad[] = {"[\"\\u00", "\\u", "[\"\\uzzzz\"]", "[\"\\", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *json = NULL;
        assert_int_equal(mcp_json_parse(bad[i], strlen(bad[i]), &json), ERR_INVALID);
    }
}

static enum err parse_many(const char *unit, size_t times)
{
    size_t len = strlen(unit);
    char *text = malloc(times * len + 3);
    for (size_t i = 0; i < times; i++)
        memcpy(text + 1 + i * len, unit, len);
    text[0] = '[';
    memcpy(text + times * len, "]", 2); /* in the place of the last comma */
    AUTOJSON json_t *json = NULL;
    enum err err = mcp_json_parse(text, strlen(text), &json);
    free(text);
    return err;
}

static void a_message_has_only_so_many_values(void **state)
{
    (void)state;
    assert_int_equal(parse_many("[],", MCP_VALUES_MAX / 2 - 1), ERR_OK);
    assert_int_equal(parse_many("[],", MCP_VALUES_MAX / 2 + 1), ERR_INVALID);
    assert_int_equal(parse_many("{},", MCP_LINE_MAX / 3 - 1), ERR_INVALID);
    assert_int_equal(parse_many("1,", MCP_VALUES_MAX + 1), ERR_INVALID);
    /* What stands in a text is no value. */
    assert_int_equal(parse_many("\",[{,,\\\\\",", MCP_VALUES_MAX / 8), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_told_apart),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(what_json_stringify_writes_is_read),
        cmocka_unit_test(a_message_has_only_so_many_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
