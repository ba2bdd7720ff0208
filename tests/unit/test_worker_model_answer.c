#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/model_answer.h"

static enum err parse(const char *body, json_t **ret_answer)
{
    char why[MODEL_WHY_SIZE] = "";
    enum err err = model_answer_parse(body, strlen(body), ret_answer, why);
    assert_true(!err == !*why);
    return err;
}

static void a_text_and_its_usage(void **state)
{
    (void)state;
    AUTOJSON json_t *answer = NULL;
    assert_int_equal(parse("{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"hi\","
                           "\"extra\":1}}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,"
                           "\"total_tokens\":7}}",
                           &answer),
                     ERR_OK);
    AUTOFREE char *text = js_dump(answer);
    assert_string_equal(text, "{\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"usage\":"
                              "{\"input_tokens\":3,\"output_tokens\":4,\"total_tokens\":7}}");
}

static void calls_get_distinct_ids_and_text_arguments(void **state)
{
    (void)state;
    AUTOJSON json_t *answer = NULL;
    assert_int_equal(parse("{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":["
                           "{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
                           "{\"id\":\"a\",\"function\":{\"name\":\"g\",\"arguments\":{\"x\":1}}},"
                           "{\"function\":{\"name\":\"h\"}}]}}]}",
                           &answer),
                     ERR_OK);
    json_t *calls = json_object_get(json_object_get(answer, "message"), "tool_calls");
    assert_int_equal(json_array_size(calls), 3);
    const char *ids[3];
    for (size_t i = 0; i < 3; i++)
        ids[i] = js_str(json_array_get(calls, i), "id", "");
    assert_string_equal(ids[0], "a");
    assert_string_not_equal(ids[1], "a");
    assert_string_not_equal(ids[1], ids[2]);
    assert_string_equal(
        js_str(json_object_get(json_array_get(calls, 1), "function"), "arguments", ""),
        "{\"x\":1}");
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char bad_arguments[] =
        "{\"choices\":[{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f\","
        "\"arguments\":7}}]}}]}";
    const char *const bodies[] = {
        "",
        "<html>",
        "[]",
        "{}",
        "{\"choices\":[]}",
        "{\"choices\":{}}",
        "{\"choices\":[{\"message\":\"hi\"}]}",
        "{\"choices\":[{\"message\":{\"tool_calls\":{}}}]}",
        "{\"choices\":[{\"message\":{\"tool_calls\":[7]}}]}",
        "{\"choices\":[{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"\"}}]}}]}",
        bad_arguments,
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        json_t *answer = NULL;
        assert_int_equal(parse(bodies[i], &answer), ERR_INVALID);
        assert_null(answer);
    }
}

static void errors_never_show_the_key(void **state)
{
    (void)state;
    static const char body[] =
        "{\"error\":{\"message\":\"bad key sk-secret!\",\"code\":\"invalid_api_key\"}}";
    char why[MODEL_WHY_SIZE], code[64];
    model_error_text(body, strlen(body), "sk-secret", why, code);
    assert_string_equal(why, "bad key *********!");
    assert_string_equal(code, "invalid_api_key");
    model_error_text("oops", 4, "sk-secret", why, code);
    assert_string_equal(code, "");
    assert_string_equal(why, "no reason given");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_and_its_usage),
        cmocka_unit_test(calls_get_distinct_ids_and_text_arguments),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(errors_never_show_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
