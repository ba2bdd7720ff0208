/* Parameter headers: which annotations are legal, and how values are written (SEP-2243). */
#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_http.h"

static void check_encoded(const char *text, const char *wanted)
{
    AUTOFREE char *got = mcp_http_encode_value(text);
    assert_string_equal(got, wanted);
}

static void values(void **state)
{
    (void)state;
    check_encoded("us-west1", "us-west1");
    check_encoded("", "");
    check_encoded("us west 1", "us west 1");
    check_encoded("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?=");
    check_encoded(" padded ", "=?base64?IHBhZGRlZCA=?=");
    check_encoded("line1\nline2", "=?base64?bGluZTEKbGluZTI=?=");
    check_encoded("a\r\nX-Evil: 1", "=?base64?YQ0KWC1FdmlsOiAx?=");
    check_encoded("\ttab", "=?base64?CXRhYg==?=");
    check_encoded("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=");
    check_encoded("=?base64?", "=?base64?");
    check_encoded("\x7f", "=?base64?fw==?=");
}

static json_t *tool_of(const char *schema)
{
    json_t *tool = json_object(), *value = NULL;
    assert_int_equal(js_parse(schema, strlen(schema), &value, NULL), ERR_OK);
    json_object_set_new(tool, "inputSchema", value);
    return tool;
}

static bool valid(const char *schema)
{
    char why[MCP_WHY_SIZE_MAX] = "";
    AUTOJSON json_t *tool = tool_of(schema);
    bool is_valid = mcp_http_tool_is_valid(tool, why);
    assert_int_equal(is_valid, !*why);
    return is_valid;
}

static void legal_annotations(void **state)
{
    (void)state;
    AUTOJSON json_t *bare = json_object();
    char why[MCP_WHY_SIZE_MAX];
    assert_true(mcp_http_tool_is_valid(bare, why));
    assert_true(valid("true"));
    assert_true(valid("{\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"A\"},"
                      "\"b\":{\"type\":\"boolean\",\"x-mcp-header\":\"B\"}}}"));
    assert_true(valid("{\"properties\":{\"o\":{\"type\":\"object\",\"properties\":{\"a\":"
                      "{\"type\":\"integer\",\"x-mcp-header\":\"A\"}}}}}"));
    assert_true(
        valid("{\"properties\":{\"a\":{\"type\":[\"string\",\"null\"],\"x-mcp-header\":\"A\"}}}"));
    /* A parameter may have that name, and data may look like a schema. */
    assert_true(valid("{\"properties\":{\"x-mcp-header\":{\"type\":\"object\"}},"
                      "\"default\":{\"x-mcp-header\":\"\"},\"enum\":[{\"x-mcp-header\":1}]}"));
}

static void illegal_names(void **state)
{
    (void)state;
    static const char *const names[] = {"\"\"",         "\"My Region\"", "\"a:b\"",
                                        "\"R\\u00e9\"", "\"a\\tb\"",     "1",
                                        "null",         "\"a\\r\\n\"",   "[\"Region\"]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        AUTOFREE char *schema = mem_printf(
            "{\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":%s}}}", names[i]);
        assert_false(valid(schema));
    }
    assert_false(valid("{\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"My\"},"
                       "\"b\":{\"type\":\"string\",\"x-mcp-header\":\"mY\"}}}"));
}

static void illegal_places(void **state)
{
    (void)state;
    static const char *const types[] = {"\"object\"",
                                        "\"array\"",
                                        "\"null\"",
                                        "\"number\"",
                                        "[]",
                                        "[\"null\"]",
                                        "[\"string\",\"object\"]"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        AUTOFREE char *schema =
            mem_printf("{\"properties\":{\"a\":{\"type\":%s,\"x-mcp-header\":\"A\"}}}", types[i]);
        assert_false(valid(schema));
    }
    assert_false(valid("{\"properties\":{\"a\":{\"x-mcp-header\":\"A\"}}}"));
    static const char annotated[] = "{\"type\":\"string\",\"x-mcp-header\":\"A\"}";
    static const char *const frames[] = {
        "{\"items\":%s}",
        "{\"properties\":{\"a\":{\"type\":\"array\",\"items\":%s}}}",
        "{\"properties\":{\"a\":{\"anyOf\":[%s]}}}",
        "{\"anyOf\":[{\"properties\":{\"a\":%s}}]}",
        "{\"not\":%s}",
        "{\"if\":{\"properties\":{\"a\":%s}}}",
        "{\"$defs\":{\"a\":%s}}",
        "{\"patternProperties\":{\"a\":%s}}",
        "{\"additionalProperties\":%s}",
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        char schema[512];
        const char *hole = strstr(frames[i], "%s");
        snprintf(schema, sizeof schema, "%.*s%s%s", (int)(hole - frames[i]), frames[i], annotated,
                 hole + 2);
        assert_false(valid(schema));
    }
}

static enum err lines_of(const char *schema, const char *arguments, char *ret_text, size_t size)
{
    AUTOJSON json_t *tool = tool_of(schema), *args = NULL, *lines = json_array();
    char why[MCP_WHY_SIZE_MAX] = "";
    assert_int_equal(js_parse(arguments, strlen(arguments), &args, NULL), ERR_OK);
    enum err err = mcp_http_param_lines(tool, args, lines, why);
    AUTOFREE char *text = js_dump(lines);
    snprintf(ret_text, size, "%s", err ? why : text);
    return err;
}

static void headers_of_calls(void **state)
{
    (void)state;
    static const char schema[] =
        "{\"properties\":{\"s\":{\"type\":\"string\",\"x-mcp-header\":\"S\"},"
        "\"i\":{\"type\":\"integer\",\"x-mcp-header\":\"I\"},"
        "\"b\":{\"type\":\"boolean\",\"x-mcp-header\":\"B\"},\"plain\":{\"type\":\"string\"},"
        "\"o\":{\"type\":\"object\",\"properties\":{\"in\":{\"type\":\"string\","
        "\"x-mcp-header\":\"In\"}}}}}";
    char text[512];
    lines_of(schema, "{\"s\":\"x\",\"i\":-7,\"b\":false,\"plain\":\"p\",\"o\":{\"in\":\"y\"}}",
             text, sizeof text);
    assert_string_equal(text, "[\"Mcp-Param-S: x\",\"Mcp-Param-I: -7\",\"Mcp-Param-B: false\","
                              "\"Mcp-Param-In: y\"]");
    lines_of(schema, "{\"s\":null,\"i\":42.0,\"b\":{},\"o\":[]}", text, sizeof text);
    assert_string_equal(text, "[\"Mcp-Param-I: 42\"]");
    lines_of(schema, "{\"i\":1.5,\"s\":\"\"}", text, sizeof text);
    assert_string_equal(text, "[\"Mcp-Param-S: \"]");
    lines_of(schema, "{}", text, sizeof text);
    assert_string_equal(text, "[]");
    assert_int_equal(lines_of(schema, "{\"i\":9007199254740991}", text, sizeof text), ERR_OK);
    assert_int_equal(lines_of(schema, "{\"i\":9007199254740992}", text, sizeof text), ERR_INVALID);
    assert_non_null(strstr(text, "Mcp-Param-I"));
}

static void long_values(void **state)
{
    (void)state;
    char *value = mem_alloc(20000), text[512];
    memset(value, 'x', 10000);
    AUTOFREE char *arguments = mem_printf("{\"s\":\"%s\"}", value);
    assert_int_equal(
        lines_of("{\"properties\":{\"s\":{\"type\":\"string\",\"x-mcp-header\":\"S\"}}}", arguments,
                 text, sizeof text),
        ERR_INVALID);
    assert_null(strstr(text, "xxxx"));
    free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),           cmocka_unit_test(legal_annotations),
        cmocka_unit_test(illegal_names),    cmocka_unit_test(illegal_places),
        cmocka_unit_test(headers_of_calls), cmocka_unit_test(long_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
