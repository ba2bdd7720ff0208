#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "services/worker/model_endpoint.h"
#include "services/worker/model_error.h"

static struct model_error read_error(int status, const char *body)
{
    struct model_error error;
    model_error_read(body, strlen(body), status, "sk-secret", &error);
    return error;
}

static void errors_never_show_the_key(void **state)
{
    (void)state;
    struct model_error error = read_error(
        401, "{\"error\":{\"message\":\"bad key sk-secret!\",\"code\":\"invalid_api_key\"}}");
    assert_string_equal(error.why, "bad key *********!");
    assert_string_equal(error.code, "invalid_api_key");
    assert_string_equal(read_error(400, "your key sk-secret is bad").why,
                        "your key ********* is bad");
    assert_string_equal(read_error(400, "{\"error\":{\"code\":\"no sk-secret\"}}").code, "");
}

/* Bodies as the endpoints write them. */
static void many_shapes(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body, *why, *code;
    } cases[] = {
        {500, "oops", "oops", ""},
        {502, "<html><body>Bad gateway", "no reason given", ""},
        {500, "", "no reason given", ""},
        {500, "\xff\xfe", "no reason given", ""},
        {400, "{\"error\":\"no such model\"}", "no such model", ""}, /* Ollama */
        {404, "{\"error\":{\"message\":\"m\",\"type\":\"not_found_error\"}}", "m",
         "not_found_error"},
        {400, "{\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"code\":400}",
         "m", "BadRequestError"}, /* vLLM */
        {422, "{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"extra\",\"type\":\"x\"}]}", "extra", ""},
        {400, "{\"detail\":\"plain\"}", "plain", ""},
        {400,
         "[{\"error\":{\"code\":400,\"message\":\"m\",\"status\":\"INVALID_ARGUMENT\"}}]", /* Gemini
                                                                                            */
         "m", "INVALID_ARGUMENT"},
        {401, "{\"statusCode\":401,\"message\":\"Access denied\"}", "Access denied",
         "invalid_api_key"}, /* Azure */
        {502,
         "{\"error\":{\"message\":\"Provider returned error\",\"code\":502,\"metadata\":{\"raw\":"
         "\"upstream fell\"}}}",
         "Provider returned error: upstream fell", ""}, /* OpenRouter */
        {529, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}",
         "busy", "overloaded"}, /* Anthropic */
        {402, "{\"error\":{\"message\":\"Insufficient Balance\"}}", "Insufficient Balance",
         "insufficient_quota"}, /* DeepSeek */
        {400,
         "{\"error\":{\"code\":\"content_filter\",\"message\":\"m\",\"innererror\":{\"code\":\"R\"}}}",
         "m", "content_filter"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_error error = read_error(cases[i].status, cases[i].body);
        assert_string_equal(error.why, cases[i].why);
        assert_string_equal(error.code, cases[i].code);
        assert_int_equal(error.status, cases[i].status);
    }
}

#define ERROR(message) "{\"error\":{\"message\":\"" message "\"}}"

static void a_conversation_that_is_too_long_is_known_everywhere(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
    } cases[] = {
        {400, "{\"error\":{\"message\":\"m\",\"code\":\"context_length_exceeded\"}}"},
        {400, ERROR("This model's maximum context length is 4096 tokens. However, …")},
        {400,
         "{\"error\":{\"code\":400,\"message\":\"m\",\"type\":\"exceed_context_size_error\"}}"},
        {400, ERROR("prompt is too long: 208310 tokens > 200000 maximum")},
        {400,
         ERROR("The input token count (1052123) exceeds the maximum number of tokens allowed")},
        {400,
         ERROR("This model's maximum prompt length is 131072 but the request contains 200000")},
        {400, ERROR("Prompt contains 40000 tokens …, too large for model with 32768 maximum "
                    "context length")},
        {413, ERROR("Request too large for model `m` … tokens per minute (TPM): Limit 6000")},
        {429, ERROR("Request too large for gpt-4o … on tokens per min (TPM): Limit 10000")},
        {422, ERROR("`inputs` tokens + `max_new_tokens` must be <= 4096")},
        {500, "{\"error\":\"the request exceeds the available context size\"}"},
        {413, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_error error = read_error(cases[i].status, cases[i].body);
        assert_string_equal(error.code, "context_length_exceeded");
        assert_false(model_error_passes(&error, ""));
        assert_int_equal(model_endpoint_lacks(&error, 0), 0);
    }
    assert_string_not_equal(read_error(404, ERROR("no context window")).code,
                            "context_length_exceeded");
}

static bool passes(int status, const char *body, const char *should_retry)
{
    struct model_error error = read_error(status, body);
    return model_error_passes(&error, should_retry);
}

static void what_may_pass(void **state)
{
    (void)state;
    static const char quota[] =
        "{\"error\":{\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}";
    static const int yes[] = {408, 409, 429, 500, 502, 503, 504, 529},
                     no[] = {301, 400, 401, 403, 404, 405, 413, 422};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(passes(yes[i], "", ""));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(passes(no[i], "", ""));
    assert_true(passes(400, "", "true"));
    assert_false(passes(500, "", "false"));
    assert_false(passes(429, quota, ""));
    assert_false(passes(429, quota, "true"));
    assert_false(passes(402, "", ""));
}

static void limits_are_those_of_all(void **state)
{
    (void)state;
    struct model_error error = read_error(429, "");
    assert_true(model_error_is_limit(&error));
    error = read_error(503, "");
    assert_true(model_error_is_limit(&error));
    error = read_error(500, "");
    assert_false(model_error_is_limit(&error));
    error =
        read_error(429, "[{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\",\"details\":"
                        "[{\"retryDelay\":\"34.5s\"}]}}]");
    assert_true(model_error_is_limit(&error));
    assert_int_equal(error.retry_after_ms, 34500);
}

static bool inside(const char *body, struct model_error *ret_error)
{
    AUTOJSON json_t *json = NULL;
    assert_int_equal(js_parse(body, strlen(body), &json, NULL), ERR_OK);
    return model_error_inside(json, "sk-secret", ret_error);
}

static void an_error_where_an_answer_was_due(void **state)
{
    (void)state;
    struct model_error error;
    assert_false(inside("{\"choices\":[{\"delta\":{}}],\"error\":null}", &error));
    assert_false(inside("[]", &error));
    assert_true(inside("{\"error\":{\"message\":\"m sk-secret\",\"code\":429}}", &error));
    assert_string_equal(error.why, "m *********");
    assert_int_equal(error.status, 429);
    assert_true(model_error_passes(&error, ""));
    assert_true(inside("{\"choices\":[{\"error\":{\"code\":502,\"message\":\"up\"},"
                       "\"finish_reason\":\"error\"}]}",
                       &error));
    assert_int_equal(error.status, 502);
    assert_true(inside("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}", &error));
    assert_string_equal(error.code, "overloaded");
    assert_true(
        inside("{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"no\"}}", &error));
    assert_false(model_error_passes(&error, ""));
    assert_true(inside("{\"error\":{\"type\":\"server_error\",\"message\":\"oh\"}}", &error));
    assert_true(model_error_passes(&error, ""));
    assert_true(inside("{\"error\":\"cuda fell over\"}", &error));
    assert_true(model_error_passes(&error, ""));
}

static unsigned lacks(int status, const char *body, unsigned lacked)
{
    struct model_error error = read_error(status, body);
    return model_endpoint_lacks(&error, lacked);
}

static void what_an_endpoint_does_not_take(void **state)
{
    (void)state;
    static const char options[] =
        "{\"error\":{\"message\":\"Unrecognized request argument supplied: stream_options\"}}";
    static const char verify[] =
        "{\"error\":{\"message\":\"Your organization must be verified to stream this model.\","
        "\"param\":\"stream\",\"code\":\"unsupported_value\"}}";
    static const char limit[] =
        "{\"error\":{\"message\":\"Unsupported parameter: 'max_tokens' is not supported with this "
        "model. Use 'max_completion_tokens' instead.\",\"param\":\"max_tokens\",\"code\":"
        "\"unsupported_parameter\"}}";
    static const char temperature[] =
        "{\"error\":{\"message\":\"Unsupported value: 'temperature' does not support 0.2 with this "
        "model.\",\"param\":\"temperature\",\"code\":\"unsupported_value\"}}";
    static const char mistral[] = "{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\","
                                  "\"max_completion_tokens\"],\"msg\":\"Extra inputs are not "
                                  "permitted: max_completion_tokens\"}]}";
    assert_int_equal(lacks(400, options, 0), MODEL_LACKS_STREAM_OPTIONS);
    assert_int_equal(lacks(400, options, MODEL_LACKS_STREAM_OPTIONS), MODEL_LACKS_STREAM);
    assert_int_equal(lacks(400, verify, 0), MODEL_LACKS_STREAM);
    assert_int_equal(lacks(400, verify, MODEL_LACKS_STREAM), 0);
    assert_int_equal(lacks(400, limit, 0), MODEL_LACKS_LIMIT_NAME);
    assert_int_equal(lacks(422, mistral, 0), MODEL_LACKS_LIMIT_NAME);
    assert_int_equal(lacks(400, temperature, 0), MODEL_LACKS_TEMPERATURE);
    assert_int_equal(lacks(400, ERROR("max_tokens is too large: 100000"), 0), 0);
    assert_int_equal(lacks(500, options, 0), 0);
    assert_int_equal(lacks(400, ERROR("no"), 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_never_show_the_key),
        cmocka_unit_test(many_shapes),
        cmocka_unit_test(a_conversation_that_is_too_long_is_known_everywhere),
        cmocka_unit_test(what_may_pass),
        cmocka_unit_test(limits_are_those_of_all),
        cmocka_unit_test(an_error_where_an_answer_was_due),
        cmocka_unit_test(what_an_endpoint_does_not_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
