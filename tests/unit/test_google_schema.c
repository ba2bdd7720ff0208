/* Arguments against the tools schemas, and the words of a refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <string.h>

#include "libcommon/js.h"
#include "services/google/schema.h"
#include "services/google/tools.h"

static const char schema_text[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"count\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9},"
    "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":3},"
    "\"kind\":{\"type\":\"string\",\"enum\":[\"a\",\"b\"]},"
    "\"some_id\":{\"type\":\"string\",\"minLength\":1},"
    "\"ratio\":{\"type\":\"number\"},\"flag\":{\"type\":\"boolean\"},"
    "\"list\":{\"type\":\"array\",\"maxItems\":2,\"items\":{\"type\":\"string\"}}},"
    "\"required\":[\"name\"],\"additionalProperties\":false}";

static json_t *parse(const char *text)
{
    json_t *value = NULL;
    assert_int_equal(js_parse(text, strlen(text), &value, NULL), ERR_OK);
    return value;
}

/* `expected`: the checked arguments, or the refusal. */
static void expect(const char *args_text, enum err error, const char *expected)
{
    char why[SCHEMA_WHY_SIZE] = "";
    AUTOJSON json_t *schema = parse(schema_text);
    AUTOJSON json_t *args = parse(args_text);
    AUTOJSON json_t *checked = NULL;
    assert_int_equal(schema_check(schema, args, &checked, why), error);
    if (error) {
        assert_null(checked);
        assert_string_equal(why, expected);
        return;
    }
    AUTOJSON json_t *wanted = parse(expected);
    assert_true(json_equal(checked, wanted));
}

static void accepts(void **state)
{
    (void)state;
    expect("{\"name\":\"x\"}", ERR_OK, "{\"name\":\"x\"}");
    expect("{\"name\":\"äöü\",\"count\":9.0}", ERR_OK, "{\"name\":\"äöü\",\"count\":9}");
    expect("{\"name\":\"x\",\"count\":null}", ERR_OK, "{\"name\":\"x\"}");
    expect("{\"name\":\"x\",\"kind\":\"b\",\"flag\":false,\"ratio\":1,\"list\":[\"a\"]}", ERR_OK,
           "{\"name\":\"x\",\"kind\":\"b\",\"flag\":false,\"ratio\":1,\"list\":[\"a\"]}");
}

static void reads_texts(void **state)
{
    (void)state;
    expect("{\"name\":\"x\",\"count\":\"3\",\"flag\":\"true\"}", ERR_OK,
           "{\"name\":\"x\",\"count\":3,\"flag\":true}");
    expect("{\"name\":\"x\",\"flag\":\"False\",\"list\":\"[\\\"a\\\", \\\"b\\\"]\"}", ERR_OK,
           "{\"name\":\"x\",\"flag\":false,\"list\":[\"a\",\"b\"]}");
    expect("{\"name\":\" x\",\"some_id\":\" \\tab c\\n\"}", ERR_OK,
           "{\"name\":\" x\",\"some_id\":\"ab c\"}");
    expect("{\"name\":\"x\",\"some_id\":\" \"}", ERR_INVALID, "\"some_id\" must not be empty");
    expect("{\"name\":\"[1]\"}", ERR_OK, "{\"name\":\"[1]\"}");
    expect("{\"name\":\"x\",\"count\":\"\",\"kind\":\"\",\"flag\":\"\",\"list\":\"\"}", ERR_OK,
           "{\"name\":\"x\"}");
}

static void refuses(void **state)
{
    (void)state;
    expect("{}", ERR_INVALID, "\"name\" is missing");
    expect("{\"name\":null}", ERR_INVALID, "\"name\" must be a text");
    expect("{\"name\":1}", ERR_INVALID, "\"name\" must be a text");
    expect("{\"name\":\"\"}", ERR_INVALID, "\"name\" must not be empty");
    expect("{\"name\":\"abcd\"}", ERR_INVALID, "\"name\" must have at most 3 characters");
    expect("{\"name\":\"x\",\"count\":\"3.5\"}", ERR_INVALID, "\"count\" must be a whole number");
    expect("{\"name\":\"x\",\"count\":\"-\"}", ERR_INVALID, "\"count\" must be a whole number");
    expect("{\"name\":\"x\",\"count\":\"12\"}", ERR_INVALID, "\"count\" must be at most 9");
    expect("{\"name\":\"x\",\"count\":\"9999999999999999999\"}", ERR_INVALID,
           "\"count\" must be a whole number");
    expect("{\"name\":\"x\",\"count\":1.5}", ERR_INVALID, "\"count\" must be a whole number");
    expect("{\"name\":\"x\",\"count\":1e300}", ERR_INVALID, "\"count\" must be a whole number");
    expect("{\"name\":\"x\",\"count\":true}", ERR_INVALID, "\"count\" must be a whole number");
    expect("{\"name\":\"x\",\"count\":0}", ERR_INVALID, "\"count\" must be at least 1");
    expect("{\"name\":\"x\",\"count\":10}", ERR_INVALID, "\"count\" must be at most 9");
    expect("{\"name\":\"x\",\"kind\":\"c\"}", ERR_INVALID, "\"kind\" must be one of: a, b");
    expect("{\"name\":\"x\",\"flag\":\"yes\"}", ERR_INVALID, "\"flag\" must be true or false");
    expect("{\"name\":\"x\",\"list\":\"a\"}", ERR_INVALID, "\"list\" must be a list");
    expect("{\"name\":\"x\",\"list\":\"[a\"}", ERR_INVALID, "\"list\" must be a list");
    expect("{\"name\":\"x\",\"list\":\"[1]\"}", ERR_INVALID,
           "each entry of \"list\" must be a text");
    expect("{\"name\":\"x\",\"list\":[1]}", ERR_INVALID, "each entry of \"list\" must be a text");
    expect("{\"name\":\"x\",\"list\":[\"a\",\"b\",\"c\"]}", ERR_INVALID,
           "\"list\" must have at most 2 entries");
    expect("{\"name\":\"x\",\"other\":1}", ERR_INVALID, "there is no parameter \"other\"");
}

static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < tools_count; i++) {
        AUTOJSON json_t *json = tool_json(&tools[i]);
        assert_non_null(json);
        const json_t *schema = json_object_get(json, "inputSchema");
        assert_string_equal(js_str(schema, "type", ""), "object");
        assert_false(js_bool(schema, "additionalProperties", true));
        assert_ptr_equal(tool_find(tools[i].name), &tools[i]);
        assert_true(tools[i].scopes != 0);
        assert_false(tool_allowed(&tools[i], 0));
        assert_true(strlen(tools[i].name) <= 56); /* "google__" goes before it, to 64 */
    }
    assert_null(tool_find("nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(reads_texts),
        cmocka_unit_test(refuses),
        cmocka_unit_test(the_table_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
