#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_content.h"
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

static char *text_of(const char *json, size_t max, bool *is_error)
{
    AUTOJSON json_t *result = json_loads(json, 0, NULL);
    assert_non_null(result);
    return mcp_result_text(result, max, is_error);
}

static void content_becomes_text(void **state)
{
    (void)state;
    bool is_error;
    AUTOFREE char *text =
        text_of("{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image\",\"mimeType\":"
                "\"image/png\"},{\"type\":\"resource\",\"resource\":{\"text\":\"r\"}},7]}",
                1000, &is_error);
    assert_false(is_error);
    assert_non_null(strstr(text, "a\n[image, image/png, 0 bytes, not shown]\nr"));
    AUTOFREE char *structured = text_of("{\"structuredContent\":{\"a\":1}}", 1000, &is_error);
    assert_string_equal(structured, "{\"a\":1}");
    AUTOFREE char *failed = text_of("{\"content\":[],\"isError\":true}", 1000, &is_error);
    assert_true(is_error);
    assert_string_equal(failed, "");
}

static void long_content_is_cut_visibly(void **state)
{
    (void)state;
    bool is_error;
    const char *json = "{\"content\":[{\"type\":\"text\",\"text\":\"éééééééééééééééééééé\"}]}";
    AUTOFREE char *text = text_of(json, 21, &is_error);
    assert_true(js_is_utf8(text, strlen(text)));
    assert_non_null(strstr(text, "[cut"));
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
        cmocka_unit_test(content_becomes_text),
        cmocka_unit_test(long_content_is_cut_visibly),
        cmocka_unit_test(a_message_has_only_so_many_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
