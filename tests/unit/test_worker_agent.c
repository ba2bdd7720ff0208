/* The agent's loop: turns, answers of every kind, calls of every kind. */
#include "tests/unit/agent_fixture.h"

#define ANSWERS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void a_text_ends_the_run(void **state)
{
    (void)state;
    struct script script;
    script_init(&script, ANSWERS(TEXT("done")));
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    assert_string_equal(js_str(end, "result", ""), "done");
    assert_int_equal(js_int(json_object_get(end, "token_usage"), "total_tokens", 0), 12);
    assert_string_equal(script.log, "message:done ");
    assert_conversations(&script);
    script_fini(&script);
}

static void calls_are_recorded_then_made_then_answered_in_order(void **state)
{
    (void)state;
    struct script script;
    script_init(&script,
                ANSWERS(CALLS(CALL("1", "s__a", "{}") "," CALL("2", "s__b", "{}")), TEXT("ok")));
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(script.log, "tool_call:s__a tool_call:s__b call:s__a call:s__b "
                                    "tool_result:s__a tool_result:s__b message:ok ");
    assert_int_equal(script.committed, 1); /* the last one, before any call is made */
    assert_int_equal(js_int(json_object_get(end, "token_usage"), "input_tokens", 0), 20);
    assert_int_equal(json_object_size(json_object_get(end, "token_usage")), 3);
    const json_t *call = json_object_get(json_array_get(script.events, 0), "data");
    assert_int_equal(js_int(call, "turn", 0), 1);
    assert_int_equal(js_int(json_object_get(call, "usage"), "total_tokens", 0), 12);
    const json_t *last = json_object_get(json_array_get(script.events, 4), "data");
    assert_int_equal(js_int(json_object_get(last, "usage"), "cached_tokens", 0), 8);
    assert_conversations(&script);
    script_fini(&script);
}

static const json_t *model_call_of(const struct script *script, size_t event)
{
    const json_t *data = json_object_get(json_array_get(script->events, event), "data");
    return json_object_get(data, "model_call");
}

/* By an event each, and by one alone. */
static void each_turn_tells_what_it_took(void **state)
{
    (void)state;
    struct script script;
    script_init(&script,
                ANSWERS(CALLS(CALL("1", "s__a", "{}") "," CALL("2", "s__b", "{}")),
                        SAID("\"\"", "", "stop"),
                        "{\"message\":{\"role\":\"assistant\",\"content\":\"ok\"}," USAGE
                        ",\"model\":\"m-1\",\"retries\":2,\"retry_reason\":\"status 503\"}"));
    script.step = 250;
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    const json_t *first = model_call_of(&script, 0), *last = model_call_of(&script, 5);
    assert_int_equal(js_int(first, "duration_ms", 0), 250);
    assert_int_equal(js_int(first, "input_tokens", 0), 10);
    assert_int_equal(js_int(first, "output_tokens", 0), 2);
    assert_null(json_object_get(first, "cost"));
    assert_null(json_object_get(first, "retries"));
    for (size_t i = 1; i < 4; i++)
        assert_null(model_call_of(&script, i));
    assert_int_equal(js_int(model_call_of(&script, 4), "duration_ms", 0), 250); /* said nothing */
    assert_string_equal(js_str(last, "model", ""), "m-1");
    assert_int_equal(js_int(last, "retries", 0), 2);
    assert_string_equal(js_str(last, "retry_reason", ""), "status 503");
    assert_int_equal(json_array_size(script.events), 6);
    script_fini(&script);
}

static void bad_calls_are_answered_in_words(void **state)
{
    (void)state;
    struct script script;
    script_init(&script,
                ANSWERS(CALLS(CALL("1", "s__aa", "{}") "," CALL("2", "s__b", "{bad") "," CALL(
                            "3", "s__c", "[1]") "," CALL("4", "s__d",
                                                         "") "," CALL("5", "functions.x y", "{}")),
                        TEXT("ok")));
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    assert_int_equal(script.executed, 1);
    assert_non_null(
        strstr(script_said(&script, 3), "There is no tool named s__aa. Did you mean: s__a?"));
    assert_non_null(strstr(script_said(&script, 4), "not a JSON object"));
    assert_non_null(strstr(script_said(&script, 5), "not a JSON object"));
    assert_string_equal(script_said(&script, 6), "s__d");
    assert_non_null(strstr(script_said(&script, 7), "no tool named functions.x y"));
    assert_conversations(&script);
    script_fini(&script);
}

static void ids_are_told_apart(void **state)
{
    (void)state;
    struct script script;
    script_init(&script,
                ANSWERS(CALLS(CALL("x", "s__a", "{}") "," CALL("x", "s__b", "{}")),
                        CALLS(CALL("x", "s__c", "{}") "," CALL("", "s__d", "{}")), TEXT("ok")));
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    AUTOJSON json_t *ids = json_object();
    for (size_t i = 0; i < json_array_size(script.events); i++) {
        const json_t *event = json_array_get(script.events, i);
        if (strcmp(js_str(event, "type", ""), "tool_call") == 0)
            json_object_set_new(ids, js_str(json_object_get(event, "data"), "id", ""), json_true());
    }
    assert_int_equal(json_object_size(ids), 4);
    assert_conversations(&script);
    script_fini(&script);
}

static void more_calls_than_may_be_made(void **state)
{
    (void)state;
    struct script script;
    struct buf calls;
    buf_init(&calls, 1 << 20);
    for (int i = 0; i < 200; i++)
        buf_printf(&calls, "%s" CALL("%d", "s__a", "{}"), i ? "," : "", i);
    AUTOFREE char *many = mem_printf(CALLS("%s"), buf_text(&calls));
    script_init(&script, ANSWERS(many, TEXT("ok")));
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    assert_int_equal(script.executed, AGENT_CALLS_MAX);
    assert_non_null(strstr(script_said(&script, -1), "too many calls"));
    assert_conversations(&script);
    buf_fini(&calls);
    script_fini(&script);
}

static void each_way_to_finish(void **state)
{
    static const struct {
        const char *answer, *outcome, *result, *error;
    } cases[] = {
        {SAID("\"part\"", "", "length"), "completed", "part\n[cut: the model's answer", NULL},
        {SAID("null", "", "length"), "failed", NULL, "length limit before it said anything"},
        {SAID("\"part\"", "", "content_filter"), "failed", "part", "content filter"},
        {SAID("null", CALL("1", "s__a", "{}"), "content_filter"), "failed", NULL, "content filter"},
        {SAID("\"hm\"", "", "a_new_reason"), "completed", "hm", NULL},
        {SAID("\"hm\"", "", ""), "completed", "hm", NULL},
        {"{\"message\":{\"role\":\"assistant\",\"content\":null,\"refusal\":\"I can't.\"},"
         "\"finish_reason\":\"stop\"}",
         "completed", "The model refused the task: I can't.", NULL},
        {"{\"error\":\"busy\",\"outcome\":\"retry\"}", "retry", NULL, "busy"},
        {"{\"error\":\"no\",\"outcome\":\"failed\",\"code\":\"x\"}", "failed", NULL, "no"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct script script;
        script_init(&script, ANSWERS(cases[i].answer));
        AUTOJSON json_t *end = script_run(&script);
        assert_string_equal(js_str(end, "outcome", ""), cases[i].outcome);
        const char *result = js_str(end, "result", NULL);
        assert_int_equal(result != NULL, cases[i].result != NULL);
        if (result)
            assert_int_equal(strncmp(result, cases[i].result, strlen(cases[i].result)), 0);
        if (cases[i].error)
            assert_non_null(strstr(js_str(end, "error_message", ""), cases[i].error));
        assert_int_equal(script.executed, 0);
        script_fini(&script);
    }
}

static void calls_count_whatever_the_reason(void **state)
{
    static const char *const reasons[] = {SAID("null", CALL("1", "s__a", "{}"), "stop"),
                                          SAID("\"x\"", CALL("1", "s__a", "{}"), ""),
                                          SAID("null", CALL("1", "s__a", "{}"), "function_call"),
                                          SAID("null", CALL("1", "s__a", "{}"), "length")};
    (void)state;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        struct script script;
        script_init(&script, ANSWERS(reasons[i], TEXT("ok")));
        AUTOJSON json_t *end = script_run(&script);
        assert_string_equal(js_str(end, "outcome", ""), "completed");
        assert_int_equal(script.executed, 1);
        script_fini(&script);
    }
}

static void a_call_that_was_cut_is_not_made(void **state)
{
    static const char *const cut[] = {"{\\\"text\\\": \\\"abc", ""};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct script script;
        AUTOFREE char *answer = mem_printf(
            SAID("null", CALL("1", "s__a", "{}") "," CALL("2", "s__b", "%s"), "length"), cut[i]);
        script_init(&script, ANSWERS(answer, TEXT("ok")));
        AUTOJSON json_t *end = script_run(&script);
        assert_string_equal(js_str(end, "outcome", ""), "completed");
        assert_int_equal(script.executed, 1);
        assert_non_null(strstr(script_said(&script, -1), "reached its length limit"));
        assert_conversations(&script);
        script_fini(&script);
    }
}

static void an_empty_answer_is_asked_for_again(void **state)
{
    (void)state;
    struct script script, mute;
    script_init(&script, ANSWERS(SAID("\"\"", "", "stop"), TEXT("here")));
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "result", ""), "here");
    assert_non_null(strstr(script_said(&script, -1), "answer was empty"));
    assert_conversations(&script);
    script_fini(&script);
    script_init(&mute, ANSWERS(SAID("null", "", "stop")));
    AUTOJSON json_t *none = script_run(&mute);
    assert_string_equal(js_str(none, "outcome", ""), "failed");
    assert_int_equal(json_array_size(mute.requests), 3);
    script_fini(&mute);
}

static void an_unrecorded_call_is_not_made(void **state)
{
    (void)state;
    struct script script;
    script_init(&script, ANSWERS(CALLS(CALL("1", "s__a", "{}"))));
    script.event_fails_at = 1;
    assert_null(script_run(&script));
    assert_int_equal(script.executed, 0);
    script_fini(&script);
}

static void a_long_result_is_cut(void **state)
{
    (void)state;
    struct script script;
    enum { LENGTH = 600 << 10 };
    char *text = mem_alloc(LENGTH + 1);
    memset(text, 'y', LENGTH);
    AUTOFREE char *big =
        mem_printf("{\"message\":{\"role\":\"assistant\",\"content\":\"%s\"}}", text);
    free(text);
    script_init(&script, ANSWERS(big));
    AUTOJSON json_t *end = script_run(&script);
    const char *result = js_str(end, "result", "");
    assert_true(strlen(result) <= AGENT_RESULT_MAX);
    assert_non_null(strstr(result, "[cut"));
    script_fini(&script);
}

static void earlier_turns_come_before_the_message(void **state)
{
    (void)state;
    struct script script;
    AUTOJSON json_t *turns =
        json_pack("[{s:s, s:s}, {s:s, s:n}, {s:s, s:s}]", "message", "q1", "result", "a1",
                  "message", "no answer", "result", "message", "q2", "result", "a2");
    AUTOJSON json_t *user = json_pack("{s:s}", "name", "Ada\nLovelace");
    script_init(&script, ANSWERS(TEXT("ok")));
    script.task.conversation = turns;
    script.task.user = user;
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    assert_non_null(strstr(script_said(&script, 0), "The user is Ada Lovelace"));
    assert_string_equal(script_said(&script, 1), "q1");
    assert_string_equal(script_said(&script, 2), "a1");
    assert_string_equal(script_said(&script, 3), "q2");
    assert_string_equal(script_said(&script, 5), "do it");
    assert_conversations(&script);
    script_fini(&script);
}

static void a_context_that_is_exceeded_shrinks(void **state)
{
    (void)state;
    struct script script;
    const char *const exceeded =
        "{\"error\":\"too long\",\"code\":\"context_length_exceeded\",\"outcome\":\"failed\"}";
    script_init(&script, ANSWERS(CALLS(CALL("1", "s__a", "{}")), CALLS(CALL("2", "s__b", "{}")),
                                 exceeded, exceeded, TEXT("ok")));
    script.result_bytes = 60000;
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    assert_string_equal(script_said(&script, 1), "do it");
    assert_non_null(strstr(script_said(&script, 3), "removed"));
    size_t last = json_array_size(script.requests) - 1;
    assert_true(js_dump_size(json_array_get(script.requests, last)) <
                js_dump_size(json_array_get(script.requests, last - 2)) / 2);
    assert_conversations(&script);
    script_fini(&script);
    script_init(&script, ANSWERS(exceeded));
    AUTOJSON json_t *never = script_run(&script);
    assert_string_equal(js_str(never, "outcome", ""), "failed");
    assert_non_null(strstr(js_str(never, "error_message", ""), "larger than"));
    assert_true(json_array_size(script.requests) <= 8);
    script_fini(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_ends_the_run),
        cmocka_unit_test(calls_are_recorded_then_made_then_answered_in_order),
        cmocka_unit_test(each_turn_tells_what_it_took),
        cmocka_unit_test(bad_calls_are_answered_in_words),
        cmocka_unit_test(ids_are_told_apart),
        cmocka_unit_test(more_calls_than_may_be_made),
        cmocka_unit_test(each_way_to_finish),
        cmocka_unit_test(calls_count_whatever_the_reason),
        cmocka_unit_test(a_call_that_was_cut_is_not_made),
        cmocka_unit_test(an_empty_answer_is_asked_for_again),
        cmocka_unit_test(an_unrecorded_call_is_not_made),
        cmocka_unit_test(a_long_result_is_cut),
        cmocka_unit_test(earlier_turns_come_before_the_message),
        cmocka_unit_test(a_context_that_is_exceeded_shrinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
