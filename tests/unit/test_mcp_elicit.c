#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_elicit.h"

static void expect(const char *params, const char *want)
{
    AUTOJSON json_t *json = json_loads(params, 0, NULL);
    assert_non_null(json);
    AUTOJSON json_t *answer = mcp_elicit_answer(json);
    AUTOFREE char *text = js_dump(answer);
    assert_string_equal(text, want);
}

#define FORM(properties, required)                                                            \
    "{\"message\":\"m\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{" properties \
    "},\"required\":[" required "]}}"
#define DECLINED "{\"action\":\"decline\"}"

static void defaults_are_given(void **state)
{
    (void)state;
    expect(FORM("\"a\":{\"type\":\"string\",\"default\":\"x\"},\"b\":{\"type\":\"integer\","
                "\"default\":3},\"c\":{\"type\":\"number\",\"default\":1.5},\"d\":{\"type\":"
                "\"boolean\",\"default\":false},\"e\":{\"type\":\"array\",\"default\":[\"p\"]},"
                "\"f\":{\"type\":\"string\"}",
                "\"a\",\"b\""),
           "{\"action\":\"accept\",\"content\":{\"a\":\"x\",\"b\":3,\"c\":1.5,\"d\":false,"
           "\"e\":[\"p\"]}}");
}

static void what_only_a_person_knows_is_declined(void **state)
{
    (void)state;
    expect(
        FORM("\"a\":{\"type\":\"string\",\"default\":\"x\"},\"b\":{\"type\":\"string\"}", "\"b\""),
        DECLINED);
    expect(FORM("\"sure\":{\"type\":\"boolean\"}", ""), DECLINED); /* silence is no yes */
    expect(FORM("", ""), DECLINED);
    expect("{\"mode\":\"url\",\"url\":\"https://example.org/\",\"message\":\"m\"}", DECLINED);
    expect("{}", DECLINED);
    expect("[]", DECLINED);
    expect("{\"requestedSchema\":7}", DECLINED);
}

static void a_default_of_another_type_is_none(void **state)
{
    (void)state;
    expect(FORM("\"a\":{\"type\":\"string\",\"default\":7}", "\"a\""), DECLINED);
    expect(FORM("\"a\":{\"type\":\"integer\",\"default\":1.5}", "\"a\""), DECLINED);
    expect(FORM("\"a\":{\"type\":\"array\",\"default\":[7]}", "\"a\""), DECLINED);
    expect(FORM("\"a\":{\"type\":\"object\",\"default\":{}}", "\"a\""), DECLINED);
    expect(FORM("\"a\":{\"type\":\"string\",\"default\":\"x\"}", "7"), DECLINED);
}

static void every_request_has_an_answer(void **state)
{
    (void)state;
    AUTOJSON json_t *requests =
        json_loads("{\"one\":{\"method\":\"elicitation/create\",\"params\":{}},"
                   "\"two\":{\"method\":\"elicitation/create\",\"params\":" FORM(
                       "\"a\":{\"type\":\"string\",\"default\":\"x\"}", "") "}}",
                   0, NULL);
    AUTOJSON json_t *responses = mcp_input_responses(requests);
    AUTOFREE char *text = js_dump(responses);
    assert_string_equal(text, "{\"one\":{\"action\":\"decline\"},\"two\":{\"action\":\"accept\","
                              "\"content\":{\"a\":\"x\"}}}");
}

static void what_was_not_declared_is_not_answered(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"one\":{\"method\":\"roots/list\"}}",
        "{\"one\":{\"method\":\"elicitation/create\"},\"two\":{\"method\":\"sampling/x\"}}",
        "{\"one\":7}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        AUTOJSON json_t *requests = json_loads(bad[i], 0, NULL);
        assert_null(mcp_input_responses(requests));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_given),
        cmocka_unit_test(what_only_a_person_knows_is_declined),
        cmocka_unit_test(a_default_of_another_type_is_none),
        cmocka_unit_test(every_request_has_an_answer),
        cmocka_unit_test(what_was_not_declared_is_not_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
