#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/tool_schema.h"

static void assert_schema(const char *from, const char *expected)
{
    AUTOJSON json_t *json = NULL;
    assert_int_equal(js_parse(from, strlen(from), &json, NULL), ERR_OK);
    AUTOFREE char *before = js_dump(json);
    AUTOJSON json_t *schema = tool_schema(json);
    AUTOFREE char *text = js_dump(schema), *after = js_dump(json);
    assert_string_equal(text, expected);
    assert_string_equal(before, after);
}

static void what_is_fine_stays(void **state)
{
    (void)state;
    static const char fine[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":[\"string\",\"null\"],\"enum\":[\"x\"]},"
        "\"b\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/n\"}},\"c\":{\"anyOf\":[{\"type\":"
        "\"integer\"},{\"$ref\":\"#\"}]}},\"required\":[\"a\"],\"additionalProperties\":false,"
        "\"$defs\":{\"n\":{\"type\":\"number\"}}}";
    assert_schema(fine, fine);
    assert_schema("{}", "{\"type\":\"object\",\"properties\":{}}");
}

static void what_is_no_object_becomes_one(void **state)
{
    (void)state;
    static const char *const others[] = {"null",
                                         "[]",
                                         "7",
                                         "{\"type\":\"string\"}",
                                         "{\"type\":\"object\",\"properties\":[]}",
                                         "{\"type\":[\"object\"],\"$schema\":\"x\"}"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_schema(others[i], "{\"type\":\"object\",\"properties\":{}}");
}

#define WRAP(schema) "{\"type\":\"object\",\"properties\":{\"a\":" schema "}}"

static void what_openai_refuses_is_mended(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {WRAP("{\"type\":\"array\"}"), WRAP("{\"type\":\"array\",\"items\":{}}")},
        {WRAP("{\"type\":[\"array\",\"null\"],\"items\":7}"),
         WRAP("{\"type\":[\"array\",\"null\"],\"items\":{}}")},
        {WRAP("{\"items\":[{\"type\":\"file\"},{\"type\":\"array\"}]}"),
         WRAP("{\"items\":{\"anyOf\":[{},{\"type\":\"array\",\"items\":{}}]}}")},
        {WRAP("{\"type\":\"file\",\"required\":true}"), WRAP("{}")},
        {WRAP("{\"enum\":[]}"), WRAP("{}")},
        {WRAP("{\"$ref\":\"#/definitions/x\"}"), WRAP("{}")},
        {WRAP("{\"$ref\":\"https://example.com/x\"}"), WRAP("{}")},
        {WRAP("{\"anyOf\":[]}"), WRAP("{}")},
        {WRAP("7"), WRAP("{}")},
        {WRAP("true"), WRAP("true")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_schema(cases[i][0], cases[i][1]);
}

static void alternatives_at_the_top_become_members(void **state)
{
    (void)state;
    assert_schema(
        "{\"type\":\"object\",\"properties\":{\"a\":{}},\"anyOf\":[{\"properties\":"
        "{\"a\":{\"type\":\"null\"},\"b\":{\"type\":\"array\"}}},{\"required\":[\"a\"]}],"
        "\"not\":{}}",
        "{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{\"type\":\"array\",\"items\":"
        "{}}}}");
}

static void a_huge_schema_is_left_out(void **state)
{
    (void)state;
    AUTOFREE char *filler = mem_alloc(40001);
    memset(filler, 'x', 40000);
    AUTOFREE char *huge = mem_printf(WRAP("{\"description\":\"%s\"}"), filler);
    assert_schema(huge, "{\"type\":\"object\",\"properties\":{}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_fine_stays),
        cmocka_unit_test(what_is_no_object_becomes_one),
        cmocka_unit_test(what_openai_refuses_is_mended),
        cmocka_unit_test(alternatives_at_the_top_become_members),
        cmocka_unit_test(a_huge_schema_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
