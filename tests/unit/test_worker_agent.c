#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/agent.h"
#include "services/worker/history.h"

/* A model that says what the script says, and tools that answer with their name. */
struct script {
    const char *const *answers; /* JSON of the loop's answers */
    size_t asked, events, committed;
    int64_t now, step; /* each answer takes `step` */
    json_t *last_request;
    char log[4096]; /* what happened, in order */
    size_t executed;
    json_t *history;
    enum err event_error;
};

static int64_t now(void *arg)
{
    return ((struct script *)arg)->now;
}

static void note(struct script *script, const char *what, const char *name)
{
    size_t len = strlen(script->log);
    snprintf(script->log + len, sizeof script->log - len, "%s:%s ", what, name);
}

static enum err ask(void *arg, const json_t *request, int64_t deadline, json_t **ret_answer)
{
    struct script *script = arg;
    json_decref(script->last_request);
    script->last_request = json_deep_copy(request);
    script->now += script->step;
    if (script->now >= deadline)
        return ERR_TIMEOUT;
    const char *text = script->answers[script->asked];
    if (script->answers[script->asked + 1])
        script->asked++;
    *ret_answer = json_loads(text, 0, NULL);
    assert_non_null(*ret_answer);
    return ERR_OK;
}

static enum err event(void *arg, const char *type, json_t *data, bool committed)
{
    struct script *script = arg;
    script->events++;
    script->committed += committed;
    note(script, type, js_str(data, "name", js_str(data, "text", "")));
    json_decref(data);
    return script->event_error;
}

static const char *server_of(void *arg, const char *tool_name)
{
    (void)arg;
    return strncmp(tool_name, "s__", 3) == 0 ? "s" : "";
}

static bool is_repeatable(void *arg, const char *tool_name)
{
    (void)arg;
    return strcmp(tool_name, "s__read") == 0;
}

static void call_tools(void *arg, struct agent_call *calls, size_t count, int64_t deadline)
{
    struct script *script = arg;
    (void)deadline;
    for (size_t i = 0; i < count; i++) {
        if (calls[i].text)
            continue;
        note(script, "call", calls[i].name);
        calls[i].text = mem_strdup(calls[i].name);
        script->executed++;
    }
}

static json_t *run(struct script *script, int max_turns)
{
    const struct agent_ops ops = {script, now, ask, event, server_of, is_repeatable, call_tools};
    AUTOJSON json_t *tools = json_array();
    const struct agent_task task = {.message = "do it",
                                    .notes = "",
                                    .tools = tools,
                                    .history = script->history,
                                    .max_turns = max_turns,
                                    .deadline = 1000,
                                    .limit_ms = 1000};
    return agent_run(&task, &ops);
}

#define USAGE "\"usage\":{\"input_tokens\":10,\"output_tokens\":2,\"total_tokens\":12}"
#define CALL(id, name, arguments)                                             \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name \
    "\",\"arguments\":\"" arguments "\"}}"
#define CALLS(calls) \
    "{\"message\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" calls "]}," USAGE "}"
#define TEXT(text) "{\"message\":{\"role\":\"assistant\",\"content\":\"" text "\"}," USAGE "}"

static void a_text_ends_the_run(void **state)
{
    (void)state;
    struct script script = {.answers = (const char *const[]){TEXT("done"), NULL}};
    AUTOJSON json_t *end = run(&script, 5);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    assert_string_equal(js_str(end, "result", ""), "done");
    assert_int_equal(js_int(json_object_get(end, "token_usage"), "total_tokens", 0), 12);
    assert_string_equal(script.log, "message:done ");
    json_decref(script.last_request);
}

static void calls_are_recorded_then_made_then_answered_in_order(void **state)
{
    (void)state;
    struct script script = {
        .answers = (const char *const[]){CALLS(CALL("1", "s__a", "{}") "," CALL("2", "s__b", "{}")),
                                         TEXT("ok"), NULL}};
    AUTOJSON json_t *end = run(&script, 5);
    assert_string_equal(script.log, "tool_call:s__a tool_call:s__b call:s__a call:s__b "
                                    "tool_result:s__a tool_result:s__b message:ok ");
    assert_int_equal(script.committed, 1); /* the last one, before any call is made */
    assert_int_equal(js_int(json_object_get(end, "token_usage"), "input_tokens", 0), 20);
    const json_t *messages = json_object_get(script.last_request, "messages");
    assert_int_equal(json_array_size(messages), 5);
    for (size_t i = 0; i < 2; i++) {
        const json_t *message = json_array_get(messages, 3 + i);
        assert_string_equal(js_str(message, "role", ""), "tool");
        assert_string_equal(js_str(message, "tool_call_id", ""), i ? "2" : "1");
    }
    json_decref(script.last_request);
}

static void bad_calls_are_answered_in_words(void **state)
{
    (void)state;
    struct script script = {
        .answers = (const char *const[]){
            CALLS(CALL("1", "nope", "{}") "," CALL("2", "s__b", "{bad") "," CALL(
                "3", "s__c", "[1]") "," CALL("4", "s__d", "")),
            TEXT("ok"), NULL}};
    AUTOJSON json_t *end = run(&script, 5);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    assert_int_equal(script.executed, 1);
    const json_t *messages = json_object_get(script.last_request, "messages");
    assert_int_equal(json_array_size(messages), 7);
    assert_non_null(strstr(js_str(json_array_get(messages, 3), "content", ""), "no tool named"));
    assert_non_null(
        strstr(js_str(json_array_get(messages, 4), "content", ""), "not a JSON object"));
    assert_non_null(
        strstr(js_str(json_array_get(messages, 5), "content", ""), "not a JSON object"));
    json_decref(script.last_request);
}

static void turns_and_time_have_an_end(void **state)
{
    (void)state;
    const char *const endless[] = {CALLS(CALL("1", "s__a", "{}")), NULL};
    struct script script = {.answers = endless};
    AUTOJSON json_t *end = run(&script, 3);
    assert_string_equal(js_str(end, "outcome", ""), "failed");
    assert_non_null(strstr(js_str(end, "error_message", ""), "3 model calls"));
    json_decref(script.last_request);
    struct script slow = {.answers = endless, .step = 400};
    AUTOJSON json_t *late = run(&slow, 30);
    assert_string_equal(js_str(late, "outcome", ""), "failed");
    assert_non_null(strstr(js_str(late, "error_message", ""), "within 1 seconds"));
    json_decref(slow.last_request);
}

static void a_model_error_ends_the_run(void **state)
{
    (void)state;
    struct script script = {
        .answers = (const char *const[]){"{\"error\":\"busy\",\"outcome\":\"retry\"}", NULL}};
    AUTOJSON json_t *end = run(&script, 5);
    assert_string_equal(js_str(end, "outcome", ""), "retry");
    assert_string_equal(js_str(end, "error_message", ""), "busy");
    json_decref(script.last_request);
}

static void an_unrecorded_call_is_not_made(void **state)
{
    (void)state;
    struct script script = {.answers = (const char *const[]){CALLS(CALL("1", "s__a", "{}")), NULL},
                            .event_error = ERR_PEER_LOST};
    assert_null(run(&script, 5));
    assert_int_equal(script.executed, 0);
    json_decref(script.last_request);
}

static void remember(json_t *history, const char *event)
{
    AUTOJSON json_t *json = json_loads(event, 0, NULL);
    assert_non_null(json);
    history_add(history, json);
}

static void what_an_earlier_attempt_did_is_not_done_again(void **state)
{
    (void)state;
    AUTOJSON json_t *history = json_array();
    remember(history, "{\"type\":\"tool_call\",\"data\":{\"id\":\"1\",\"name\":\"s__send\","
                      "\"arguments\":{\"to\":\"a\"}}}");
    remember(history, "{\"type\":\"tool_result\",\"data\":{\"id\":\"1\",\"name\":\"s__send\","
                      "\"content\":\"sent\",\"is_error\":false}}");
    remember(history, "{\"type\":\"tool_call\",\"data\":{\"id\":\"2\",\"name\":\"s__send\","
                      "\"arguments\":{\"to\":\"b\"}}}");
    remember(history, "{\"type\":\"tool_call\",\"data\":{\"id\":\"3\",\"name\":\"s__read\","
                      "\"arguments\":{}}}");
    AUTOFREE char *notes = history_notes(history, 1000);
    assert_non_null(strstr(notes, "s__send {\"to\":\"a\"} answered: sent"));
    assert_non_null(strstr(notes, "s__send {\"to\":\"b\"} (its outcome is unknown)"));
    struct script script = {
        .history = history,
        .answers = (const char *const[]){
            CALLS(CALL("1", "s__send", "{\\\"to\\\":\\\"a\\\"}") "," CALL(
                "2", "s__send", "{\\\"to\\\":\\\"b\\\"}") "," CALL("3", "s__read", "{}")),
            TEXT("ok"), NULL}};
    AUTOJSON json_t *end = run(&script, 5);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    assert_non_null(strstr(script.log, " call:s__read "));
    assert_int_equal(script.executed, 1);
    const json_t *messages = json_object_get(script.last_request, "messages");
    assert_string_equal(js_str(json_array_get(messages, 3), "content", ""), "sent");
    assert_non_null(strstr(js_str(json_array_get(messages, 4), "content", ""), "unknown whether"));
    json_decref(script.last_request);
    script = (struct script){.history = history, .answers = script.answers};
    AUTOJSON json_t *again = run(&script, 5); /* "a" is used up: a second one is a new one */
    assert_string_equal(js_str(again, "outcome", ""), "completed");
    assert_int_equal(script.executed, 2);
    json_decref(script.last_request);
}

static void a_long_result_is_cut(void **state)
{
    (void)state;
    struct script script = {.answers = (const char *const[]){TEXT("x"), NULL}};
    enum { LENGTH = 600 << 10 };
    char *text = mem_alloc(LENGTH + 1);
    memset(text, 'y', LENGTH);
    AUTOFREE char *big =
        mem_printf("{\"message\":{\"role\":\"assistant\",\"content\":\"%s\"}}", text);
    free(text);
    script.answers = (const char *const[]){big, NULL};
    AUTOJSON json_t *end = run(&script, 1);
    const char *result = js_str(end, "result", "");
    assert_true(strlen(result) <= AGENT_RESULT_MAX);
    assert_non_null(strstr(result, "[cut"));
    json_decref(script.last_request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_ends_the_run),
        cmocka_unit_test(calls_are_recorded_then_made_then_answered_in_order),
        cmocka_unit_test(bad_calls_are_answered_in_words),
        cmocka_unit_test(turns_and_time_have_an_end),
        cmocka_unit_test(a_model_error_ends_the_run),
        cmocka_unit_test(an_unrecorded_call_is_not_made),
        cmocka_unit_test(what_an_earlier_attempt_did_is_not_done_again),
        cmocka_unit_test(a_long_result_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
