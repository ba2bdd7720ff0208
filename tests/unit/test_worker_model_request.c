#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/model_request.h"

static struct settings settings(void)
{
    return (struct settings){.openai_base_url = "https://api.openai.com/v1/",
                             .openai_api_key = "sk-1",
                             .openai_model = "gpt-4o",
                             .model_stream = "auto"};
}

/* The body for `ask` as JSON, checked to be JSON. */
static json_t *body_of(const struct settings *settings, const char *ask, unsigned lacks)
{
    AUTOJSON json_t *json = NULL;
    json_t *body = NULL;
    size_t len;
    struct model_endpoint endpoint;
    assert_int_equal(js_parse(ask, strlen(ask), &json, NULL), ERR_OK);
    model_endpoint_init(&endpoint, settings);
    struct model_request *request = model_request_new(settings, json);
    const char *text = model_request_body(request, &endpoint, lacks, &len);
    assert_int_equal(js_parse(text, len, &body, NULL), ERR_OK);
    model_request_destroy(&request);
    model_endpoint_fini(&endpoint);
    return body;
}

static void assert_body(const struct settings *settings, const char *ask, unsigned lacks,
                        const char *expected)
{
    AUTOJSON json_t *body = body_of(settings, ask, lacks);
    AUTOFREE char *text = js_dump(body);
    assert_string_equal(text, expected);
}

#define USER "\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]"
#define TOOLS "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"
#define STREAM "\"stream\":true,\"stream_options\":{\"include_usage\":true},"

static void a_plain_question(void **state)
{
    (void)state;
    struct settings plain = settings();
    assert_body(&plain, "{\"t\":\"ask\"," USER "}", 0, "{\"model\":\"gpt-4o\"," STREAM USER "}");
    assert_body(&plain, "{" USER ",\"tools\":[],\"tool_choice\":\"none\"}", 0,
                "{\"model\":\"gpt-4o\"," STREAM USER "}");
    assert_body(&plain, "{" USER "," TOOLS ",\"tool_choice\":\"none\",\"model\":\"o\\\"3\"}", 0,
                "{\"model\":\"o\\\"3\"," STREAM "\"tool_choice\":\"none\"," USER "," TOOLS "}");
    plain.model_stream = "off";
    assert_body(&plain, "{" USER "}", 0, "{\"model\":\"gpt-4o\",\"stream\":false," USER "}");
}

static void limits_and_what_an_endpoint_lacks(void **state)
{
    (void)state;
    struct settings own = settings();
    own.model_max_tokens = 100;
    own.model_temperature = "0.5";
    static const char ask[] = "{" USER ",\"max_completion_tokens\":70}";
    assert_body(&own, ask, 0,
                "{\"model\":\"gpt-4o\"," STREAM
                "\"max_completion_tokens\":70,\"temperature\":0.5," USER "}");
    assert_body(&own, "{" USER ",\"max_completion_tokens\":700}",
                MODEL_LACKS_STREAM_OPTIONS | MODEL_LACKS_LIMIT_NAME | MODEL_LACKS_TEMPERATURE,
                "{\"model\":\"gpt-4o\",\"stream\":true,\"max_tokens\":100," USER "}");
    own.openai_base_url = "http://localhost:11434/v1";
    assert_body(&own, ask, MODEL_LACKS_STREAM | MODEL_LACKS_TEMPERATURE,
                "{\"model\":\"gpt-4o\",\"stream\":false,\"max_tokens\":70," USER "}");
}

/* The same text is used for each try. */
static void it_can_be_formed_again(void **state)
{
    (void)state;
    struct settings own = settings();
    AUTOJSON json_t *ask =
        json_pack("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", "u");
    struct model_endpoint endpoint;
    size_t len, plain_len;
    model_endpoint_init(&endpoint, &own);
    struct model_request *request = model_request_new(&own, ask);
    AUTOFREE char *first = mem_strdup(model_request_body(request, &endpoint, 0, &len));
    assert_int_equal(strlen(first), len);
    assert_non_null(model_request_body(request, &endpoint, MODEL_LACKS_STREAM, &plain_len));
    assert_true(plain_len < len);
    assert_string_equal(model_request_body(request, &endpoint, 0, &len), first);
    model_request_destroy(&request);
    model_endpoint_fini(&endpoint);
}

static void arguments_that_are_no_object_are_wrapped(void **state)
{
    (void)state;
    struct settings own = settings();
    static const char ask[] =
        "{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
        "{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":\"}},"
        "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\": 1}\"}},"
        "{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}]}";
    AUTOJSON json_t *body = body_of(&own, ask, 0);
    json_t *calls =
        json_object_get(json_array_get(json_object_get(body, "messages"), 0), "tool_calls");
    static const char *const expected[] = {"{\"invalid_arguments\":\"{\\\"x\\\":\"}", "{\"x\": 1}",
                                           "{}"};
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(
            js_str(json_object_get(json_array_get(calls, i), "function"), "arguments", ""),
            expected[i]);
}

static void ids_of_the_conversation_are_not_used_again(void **state)
{
    (void)state;
    struct settings own = settings();
    AUTOJSON json_t *ask = json_pack("{s:[{s:s, s:[{s:s}]}]}", "messages", "role", "assistant",
                                     "tool_calls", "id", "call_1");
    AUTOJSON json_t *answer = json_pack("{s:{s:[{s:s}, {s:s}]}}", "message", "tool_calls", "id",
                                        "call_1", "id", "call_2");
    struct model_request *request = model_request_new(&own, ask);
    model_request_new_ids(request, answer);
    json_t *calls = json_object_get(json_object_get(answer, "message"), "tool_calls");
    assert_string_not_equal(js_str(json_array_get(calls, 0), "id", ""), "call_1");
    assert_string_equal(js_str(json_array_get(calls, 1), "id", ""), "call_2");
    model_request_destroy(&request);
}

static void assert_url(const char *base, const char *version, const char *url,
                       const char *credential)
{
    struct settings own = settings();
    struct model_endpoint endpoint;
    own.openai_base_url = base;
    own.openai_api_version = version;
    model_endpoint_init(&endpoint, &own);
    AUTOFREE char *actual = model_endpoint_url(&endpoint, "m/1");
    assert_string_equal(actual, url);
    assert_string_equal(endpoint.credential, credential);
    model_endpoint_fini(&endpoint);
}

static void urls(void **state)
{
    (void)state;
    static const char bearer[] = "Authorization: Bearer sk-1", key[] = "api-key: sk-1";
    assert_url("https://api.openai.com/v1/", NULL, "https://api.openai.com/v1/chat/completions",
               bearer);
    assert_url("http://h:1/v1?x=y", NULL, "http://h:1/v1/chat/completions?x=y", bearer);
    assert_url("https://r.openai.azure.com", "2024-10-21",
               "https://r.openai.azure.com/openai/deployments/m%2F1/chat/completions?api-version="
               "2024-10-21",
               key);
    assert_url("https://r.openai.azure.com/openai/", "v",
               "https://r.openai.azure.com/openai/deployments/m%2F1/chat/completions?api-version=v",
               key);
    assert_url("https://r.openai.azure.com/openai/deployments/d", "v",
               "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=v",
               key);
    assert_url("https://r.openai.azure.com/openai/v1/", NULL,
               "https://r.openai.azure.com/openai/v1/chat/completions", key);
    assert_url("https://evil.com/.azure.com", NULL, "https://evil.com/.azure.com/chat/completions",
               bearer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_question),
        cmocka_unit_test(limits_and_what_an_endpoint_lacks),
        cmocka_unit_test(it_can_be_formed_again),
        cmocka_unit_test(arguments_that_are_no_object_are_wrapped),
        cmocka_unit_test(ids_of_the_conversation_are_not_used_again),
        cmocka_unit_test(urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
