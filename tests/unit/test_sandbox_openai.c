/* The sandbox as strict as OpenAI: what it refuses, and its answers' other endings. */
#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/faults.h"
#include "services/sandbox/openai.h"

/* The code of the refusal; "" for one without; NULL: accepted. */
static const char *refusal(const char *text)
{
    static struct openai_fault fault;
    json_t *request = NULL;
    assert_int_equal(js_parse(text, strlen(text), &request, NULL), ERR_OK);
    bool fine = openai_check(request, &fault);
    json_decref(request);
    return fine ? NULL : fault.code ? fault.code : "";
}

#define CALL(id, name)                                                        \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name \
    "\",\"arguments\":\"{}\"}}"
#define CALLS(calls) "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" calls "]}"
#define RESULT(id) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"r\"}"
#define USER "{\"role\":\"user\",\"content\":\"u\"}"
#define REQUEST(messages) "{\"model\":\"m\",\"messages\":[" messages "]}"
#define WITH(more) "{\"model\":\"m\",\"messages\":[" USER "]," more "}"
#define TOOL(function) "\"tools\":[{\"type\":\"function\",\"function\":" function "}]"
#define SCHEMA(schema) WITH(TOOL("{\"name\":\"f\",\"parameters\":" schema "}"))
#define OF(property) SCHEMA("{\"type\":\"object\",\"properties\":{\"a\":" property "}}")

static void assert_all_accepted(const char *const *texts)
{
    for (; *texts; texts++)
        if (refusal(*texts))
            fail_msg("refused as %s: %s", refusal(*texts), *texts);
}

static void assert_all_refused(const char *const *texts)
{
    for (; *texts; texts++)
        if (!refusal(*texts))
            fail_msg("accepted: %s", *texts);
}

static void answers_to_calls(void **state)
{
    (void)state;
    assert_all_accepted((const char *[]){REQUEST(USER "," CALLS(CALL("a", "f") "," CALL(
                                             "b", "g")) "," RESULT("a") "," RESULT("b") "," USER),
                                         REQUEST(USER "," CALLS(CALL("a", "f")) "," RESULT(
                                             "a") "," CALLS(CALL("b", "f")) "," RESULT("b")),
                                         NULL});
    assert_all_refused((const char *[]){
        REQUEST(USER "," CALLS(CALL("a", "f") "," CALL("b", "g")) "," RESULT("b") "," RESULT("a")),
        REQUEST(USER "," CALLS(CALL("a", "f") "," CALL("b", "g")) "," RESULT("a")),
        REQUEST(USER "," CALLS(CALL("a", "f")) "," RESULT("a") "," RESULT("a")),
        REQUEST(USER "," CALLS(CALL("a", "f")) "," USER "," RESULT("a")),
        REQUEST(USER "," CALLS(CALL("a", "f") "," CALL("a", "f")) "," RESULT("a") "," RESULT("a")),
        REQUEST(USER "," RESULT("a")), REQUEST(USER "," CALLS("")),
        REQUEST(USER "," CALLS(CALL("", "f")) "," RESULT("")),
        REQUEST(USER "," CALLS(CALL("a", "a b")) "," RESULT("a")),
        REQUEST(USER "," CALLS(CALL("a2345678901234567890123456789012345678901", "f")) "," RESULT(
            "a2345678901234567890123456789012345678901")),
        NULL});
}

static void members_that_nobody_knows(void **state)
{
    (void)state;
    assert_string_equal(refusal(REQUEST("{\"role\":\"user\",\"content\":\"u\",\"id\":1}")),
                        "unknown_parameter");
    assert_all_refused((const char *[]){
        WITH("\"extra\":1"),
        REQUEST("{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"r\"}"),
        REQUEST("{\"role\":\"user\",\"content\":\"u\",\"tool_calls\":[" CALL("a", "f") "]}"),
        REQUEST("{\"role\":\"system\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}"),
        WITH(TOOL("{\"name\":\"f\",\"inputSchema\":{}}")), NULL});
}

static void tools_and_their_schemas(void **state)
{
    (void)state;
    AUTOFREE char *long_text = mem_alloc(1100);
    memset(long_text, 'x', 1025);
    AUTOFREE char *too_long =
        mem_printf(WITH(TOOL("{\"name\":\"f\",\"description\":\"%s\"}")), long_text);
    assert_string_equal(refusal(too_long), "string_above_max_length");
    assert_string_equal(refusal(OF("{\"type\":\"array\"}")), "invalid_function_parameters");
    assert_all_accepted((const char *[]){
        WITH(TOOL("{\"name\":\"f\"}")), OF("{\"type\":\"array\",\"items\":{}}"),
        OF("{\"type\":[\"string\",\"null\"],\"enum\":[\"a\"]}"), OF("{\"anyOf\":[{},true]}"),
        SCHEMA("{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/b\"}},\"$defs\":{"
               "\"b\":{\"type\":\"string\"}},\"required\":[\"a\"]}"),
        NULL});
    assert_all_refused((const char *[]){
        SCHEMA("{\"type\":\"string\"}"), SCHEMA("{}"), SCHEMA("[]"),
        SCHEMA("{\"type\":\"object\",\"anyOf\":[{}]}"), OF("7"), OF("{\"type\":\"file\"}"),
        OF("{\"type\":[\"array\",\"null\"]}"), OF("{\"type\":\"array\",\"items\":[{}]}"),
        OF("{\"required\":true}"), OF("{\"enum\":[]}"), OF("{\"$ref\":\"#/$defs/b\"}"),
        OF("{\"$ref\":\"https://example.com\"}"), OF("{\"anyOf\":[]}"), OF("{\"properties\":[]}"),
        NULL});
}

static void at_most_128_tools(void **state)
{
    (void)state;
    for (int count = 128; count <= 129; count++) {
        struct openai_fault fault;
        AUTOJSON json_t *tools = json_array();
        for (int i = 0; i < count; i++) {
            char name[16];
            snprintf(name, sizeof(name), "f%d", i);
            json_array_append_new(
                tools, json_pack("{s:s, s:{s:s}}", "type", "function", "function", "name", name));
        }
        AUTOJSON json_t *request = json_pack("{s:s, s:[{s:s, s:s}], s:O}", "model", "m", "messages",
                                             "role", "user", "content", "u", "tools", tools);
        assert_int_equal(openai_check(request, &fault), count == 128);
    }
}

static void options(void **state)
{
    (void)state;
    assert_all_accepted((const char *[]){
        WITH("\"stream\":true,\"stream_options\":{\"include_usage\":true}"),
        WITH("\"temperature\":2,\"max_completion_tokens\":5"), WITH("\"max_tokens\":5"),
        WITH("\"tool_choice\":\"none\"," TOOL("{\"name\":\"f\"}")),
        WITH("\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}," TOOL(
            "{\"name\":\"f\"}")),
        NULL});
    assert_all_refused((const char *[]){
        WITH("\"stream\":1"), WITH("\"stream_options\":{\"include_usage\":true}"),
        WITH("\"stream\":true,\"stream_options\":{\"usage\":true}"), WITH("\"temperature\":2.5"),
        WITH("\"temperature\":\"1\""), WITH("\"max_tokens\":0"), WITH("\"max_tokens\":1.5"),
        WITH("\"max_tokens\":5,\"max_completion_tokens\":5"), WITH("\"tool_choice\":\"none\""),
        WITH("\"tool_choice\":\"maybe\"," TOOL("{\"name\":\"f\"}")),
        WITH("\"tool_choice\":{\"function\":{\"name\":\"g\"}}," TOOL("{\"name\":\"f\"}")),
        "{\"model\":\"gpt-5\",\"messages\":[" USER "],\"max_tokens\":5}",
        "{\"model\":\"o3\",\"messages\":[" USER "],\"temperature\":0.5}", NULL});
}

static void words_of_the_message(void **state)
{
    (void)state;
    struct faults *faults = faults_new();
    struct fault fault = faults_take(
        faults, "[sandbox:drip=0.5][sandbox:window=100][sandbox:finish=length][sandbox:retry=3]",
        "stall,broken,nodone,nostream,nooptions,nousage,refusal");
    assert_int_equal(fault.drip_ms, 500);
    assert_int_equal(fault.window, 100);
    assert_string_equal(fault.finish, "length");
    assert_int_equal(fault.retry_after_ms, 3000);
    assert_true(fault.stall && fault.broken && fault.no_done && fault.no_stream &&
                fault.no_options && fault.no_usage && fault.refusal);
    fault = faults_take(faults, "[sandbox:window=-4][sandbox:window=x][sandbox:nothing]", NULL);
    assert_true(!fault.window && !fault.stall && !fault.refusal && !*fault.finish);
    faults_destroy(&faults);
}

static void refusals_and_endings(void **state)
{
    (void)state;
    struct completion completion = {.id = "chatcmpl-1",
                                    .model = "m",
                                    .text = mem_strdup("no"),
                                    .calls = json_array(),
                                    .refusal = true,
                                    .no_usage = true,
                                    .no_done = true,
                                    .usage_chunk = true,
                                    .finish = "content_filter"};
    struct buf out;
    buf_init(&out, 1 << 20);
    completion_events(&completion, &out);
    assert_non_null(strstr(buf_text(&out), "{\"refusal\":\"no\"}"));
    assert_non_null(strstr(buf_text(&out), "\"finish_reason\":\"content_filter\""));
    assert_null(strstr(buf_text(&out), "prompt_tokens"));
    assert_null(strstr(buf_text(&out), "[DONE]"));
    AUTOJSON json_t *object = completion_object(&completion);
    AUTOFREE char *text = js_dump(object);
    assert_non_null(strstr(text, "\"content\":null,\"refusal\":\"no\""));
    assert_null(json_object_get(object, "usage"));
    buf_fini(&out);
    completion_fini(&completion);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_to_calls),
        cmocka_unit_test(members_that_nobody_knows),
        cmocka_unit_test(tools_and_their_schemas),
        cmocka_unit_test(at_most_128_tools),
        cmocka_unit_test(options),
        cmocka_unit_test(words_of_the_message),
        cmocka_unit_test(refusals_and_endings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
