/* A run that is resumed: after a death at any point, after a wait for approval; with histories of
 * every kind. */
#include "tests/unit/agent_fixture.h"

#define ANSWERS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void remember(json_t *history, const char *event)
{
    AUTOJSON json_t *json = json_loads(event, 0, NULL);
    assert_non_null(json);
    history_add(history, json);
}

/* What an attempt has told, as the next one gets it. */
static void keep(json_t *history, const struct script *script)
{
    size_t index;
    const json_t *event;
    json_array_foreach(script->events, index, event) history_add(history, event);
}

#define TOLD_CALL(id, name, arguments, turn)                                                \
    "{\"type\":\"tool_call\",\"data\":{\"id\":\"" id "\",\"name\":\"" name "\",\"server\":" \
    "\"s\",\"arguments\":" arguments ",\"turn\":" turn                                      \
    ",\"usage\":{\"input_tokens\":100,\"output_tokens\":10,\"total_tokens\":110}}}"
#define TOLD_RESULT(id, name, text)                                                            \
    "{\"type\":\"tool_result\",\"data\":{\"id\":\"" id "\",\"name\":\"" name "\",\"content\":" \
    "\"" text "\",\"is_error\":false}}"

static void it_goes_on_behind_the_last_call(void **state)
{
    (void)state;
    struct script script;
    AUTOJSON json_t *history = json_array();
    AUTOJSON json_t *options = json_pack("{s:i}", "max_turns", 4);
    remember(history, "{\"type\":\"message\",\"data\":{\"text\":\"I begin.\",\"turn\":1}}");
    remember(history, TOLD_CALL("1", "s__send", "{\"to\":\"a\"}", "1"));
    remember(history, TOLD_RESULT("1", "s__send", "sent"));
    remember(history, TOLD_CALL("2", "s__read", "{}", "2"));
    remember(history, TOLD_CALL("3", "s__send", "{\"to\":\"b\"}", "2"));
    script_init(&script, ANSWERS(CALLS(CALL("1", "s__a", "{}")), TEXT("ok")));
    script.task.history = history;
    script.task.options = options;
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    assert_string_equal(script.log,
                        "tool_call:s__read call:s__read tool_result:s__read tool_result:s__send "
                        "tool_call:s__a call:s__a tool_result:s__a message:ok ");
    assert_string_equal(script_said(&script, 2), "I begin.");
    assert_string_equal(script_said(&script, 3), "sent");
    assert_string_equal(script_said(&script, 5), "s__read");
    assert_non_null(strstr(script_said(&script, 6), "unknown whether the tool acted"));
    assert_int_equal(js_int(json_object_get(end, "token_usage"), "total_tokens", 0), 134);
    assert_conversations(&script);
    script_fini(&script);
}

/* The record of such a call has its arguments as a text that was cut: it is not said that nothing
 * was done, nor of a tool that is not there any more. */
static void what_may_have_acted_is_unknown(void **state)
{
    (void)state;
    struct script script;
    AUTOJSON json_t *history = json_array();
    AUTOFREE char *text = mem_alloc(20001);
    memset(text, 'x', 20000);
    AUTOFREE char *arguments = mem_printf("{\\\"body\\\": \\\"%s\\\"}", text);
    AUTOFREE char *answer =
        mem_printf(CALLS(CALL("1", "s__send", "%s") "," CALL("2", "s__a", "{broken")), arguments);
    script_init(&script, ANSWERS(answer));
    script.event_fails_at = 3; /* the result's */
    json_t *end = script_run(&script);
    assert_null(end);
    assert_int_equal(script.executed, 1);
    keep(history, &script);
    script_fini(&script);
    remember(history, TOLD_CALL("3", "gone__send", "{}", "1"));
    script_init(&script, ANSWERS(TEXT("ok")));
    script.task.history = history;
    end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    assert_string_equal(script.log,
                        "tool_result:s__send tool_result:s__a tool_result:gone__send message:ok ");
    assert_string_equal(script_said(&script, -3), history_unknown_outcome);
    assert_non_null(strstr(script_said(&script, -2), "Nothing was done"));
    assert_string_equal(script_said(&script, -1), history_unknown_outcome);
    assert_conversations(&script);
    json_decref(end);
    script_fini(&script);
}

/* The turns of all attempts count. */
static void budgets_go_on(void **state)
{
    (void)state;
    struct script script;
    AUTOJSON json_t *history = json_array();
    AUTOJSON json_t *options = json_pack("{s:i}", "max_turns", 3);
    remember(history, TOLD_CALL("1", "s__a", "{}", "2"));
    remember(history, TOLD_RESULT("1", "s__a", "x"));
    script_init(&script, ANSWERS(CALLS(CALL("5", "s__a", "{}")), TEXT("last")));
    script.task.history = history;
    script.task.options = options;
    AUTOJSON json_t *end = script_run(&script);
    assert_int_equal(strncmp(js_str(end, "error_message", ""), "budget_exhausted: turns", 23), 0);
    assert_int_equal(json_array_size(script.requests), 2);
    script_fini(&script);
    AUTOJSON json_t *usage =
        json_pack("{s:i, s:i, s:i}", "input_tokens", 500, "output_tokens", 50, "total_tokens", 550);
    script_init(&script, ANSWERS(TEXT("ok")));
    script.task.history = history;
    script.task.usage = usage; /* what the store knows is more than what the events told */
    AUTOJSON json_t *more = script_run(&script);
    assert_int_equal(js_int(json_object_get(more, "token_usage"), "total_tokens", 0), 562);
    script_fini(&script);
}

static const char *const story[] = {
    CALLS(CALL("1", "s__send", "{\\\"n\\\": 1}") "," CALL("2", "s__read", "{\\\"n\\\": 2}")),
    SAID("\"hm\"", CALL("3", "s__send", "{\\\"n\\\": 3}"), "tool_calls"),
    CALLS(CALL("4", "s__none", "{}") "," CALL("5", "s__send", "{broken")),
    CALLS(CALL("6", "s__delete", "{\\\"n\\\": 6}")),
    TEXT("the end"),
    NULL};

static size_t count_of(const char *log, const char *what)
{
    size_t count = 0;
    for (const char *at = log; (at = strstr(at, what)); at++)
        count++;
    return count;
}

/* Killed at each event, twice over: what may act is begun at most once for each call that the model
 * made, and every conversation is legal. */
static void a_death_at_any_event(void **state)
{
    (void)state;
    for (size_t first = 1; first <= 14; first++)
        for (size_t second = 1; second <= 14; second++) {
            AUTOJSON json_t *history = json_array();
            size_t asked = 0, sent = 0, deleted = 0;
            json_t *end = NULL;
            for (int attempt = 0; attempt < 3 && !end; attempt++) {
                struct script script;
                script_init(&script, story);
                script.asked = asked;
                script.task.history = history;
                script.event_fails_at = attempt == 0 ? first : attempt == 1 ? second : 0;
                end = script_run(&script);
                keep(history, &script);
                assert_conversations(&script);
                sent += count_of(script.log, " call:s__send");
                deleted += count_of(script.log, "call:s__delete") -
                           count_of(script.log, "tool_call:s__delete");
                struct history_past past;
                history_rebuild(history, &past);
                asked = (size_t)past.turns; /* a lost answer is given again */
                history_past_fini(&past);
                script_fini(&script);
            }
            assert_non_null(end);
            assert_string_equal(js_str(end, "outcome", ""), "completed");
            assert_true(sent <= 2);
            assert_true(deleted <= 1);
            json_decref(end);
        }
}

static json_t *approval_settings(const char *mode, const char *pattern)
{
    return json_pack("{s:s, s:[s]}", "approval", mode, "approval_tools", pattern);
}

static void approve(json_t *history, const char *data)
{
    AUTOFREE char *event = mem_printf("{\"type\":\"approval\",\"data\":%s}", data);
    remember(history, event);
}

/* Runs until it waits; the history then has what a client sees. */
static void run_to_wait(json_t *history, const json_t *settings)
{
    struct script script;
    script_init(&script, ANSWERS(CALLS(CALL("1", "s__delete", "{\\\"n\\\": 1}") "," CALL(
                             "2", "s__a", "{}") "," CALL("3", "s__delete", "{\\\"n\\\": 3}"))));
    script.task.settings = settings;
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "waiting");
    assert_string_equal(script.log, "tool_call:s__a call:s__a tool_result:s__a waiting_approval: ");
    assert_int_equal(script.committed, 2);
    const json_t *data = json_object_get(json_array_get(script.events, 2), "data");
    AUTOFREE char *calls = js_dump(json_object_get(data, "calls"));
    assert_string_equal(calls, "[{\"id\":\"1\",\"name\":\"s__delete\",\"server\":\"s\","
                               "\"arguments\":{\"n\":1}},{\"id\":\"3\",\"name\":\"s__delete\","
                               "\"server\":\"s\",\"arguments\":{\"n\":3}}]");
    keep(history, &script);
    script_fini(&script);
}

static void approved_calls_are_made(void **state)
{
    (void)state;
    struct script script;
    AUTOJSON json_t *history = json_array();
    AUTOJSON json_t *settings = approval_settings("destructive", "none");
    run_to_wait(history, settings);
    approve(history, "{\"decision\":\"approve\"}");
    script_init(&script, ANSWERS(TEXT("ok")));
    script.task.history = history;
    script.task.settings = settings;
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    assert_string_equal(script.log,
                        "tool_call:s__delete tool_call:s__delete call:s__delete call:s__delete "
                        "tool_result:s__delete tool_result:s__delete message:ok ");
    assert_conversations(&script);
    script_fini(&script);
}

static void denied_calls_are_told(void **state)
{
    static const char *const decisions[] = {
        "{\"decision\":\"deny\",\"reason\":\"Not today.\"}",
        "{\"decision\":\"approve\",\"call_ids\":[\"1\"],\"reason\":\"Not today.\"}",
        "{\"decision\":\"approve\",\"call_ids\":[]}", "{\"decision\":true}", "{}"};
    (void)state;
    for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++) {
        struct script script;
        AUTOJSON json_t *history = json_array();
        AUTOJSON json_t *settings = approval_settings("none", "s__del*");
        run_to_wait(history, settings);
        approve(history, decisions[i]);
        script_init(&script, ANSWERS(TEXT("ok")));
        script.task.history = history;
        script.task.settings = settings;
        AUTOJSON json_t *end = script_run(&script);
        assert_string_equal(js_str(end, "outcome", ""), "completed");
        assert_int_equal(script.executed, i == 1);
        assert_non_null(strstr(script_said(&script, -1), "did not allow this call"));
        assert_int_equal(strstr(script_said(&script, -1), "Not today.") != NULL, i < 2);
        assert_conversations(&script);
        script_fini(&script);
    }
}

/* Nobody has decided yet: it waits on, and says so again: an attempt that waits has asked. */
static void a_wait_goes_on(void **state)
{
    (void)state;
    AUTOJSON json_t *history = json_array();
    AUTOJSON json_t *settings = approval_settings("destructive", "none");
    run_to_wait(history, settings);
    for (int i = 0; i < 2; i++) {
        struct script script;
        script_init(&script, ANSWERS(TEXT("ok")));
        script.task.history = history;
        script.task.settings = settings;
        AUTOJSON json_t *end = script_run(&script);
        assert_string_equal(js_str(end, "outcome", ""), "waiting");
        assert_string_equal(script.log, "waiting_approval: ");
        assert_int_equal(json_array_size(script.requests), 0);
        keep(history, &script);
        script_fini(&script);
    }
    struct history_past past;
    approve(history, "{\"decision\":\"approve\"}");
    history_rebuild(history, &past);
    assert_int_equal(json_array_size(past.open), 3);
    history_past_fini(&past);
}

/* An approval is for what was asked then, and for nothing later. */
static void each_wait_has_its_own_approval(void **state)
{
    (void)state;
    AUTOJSON json_t *history = json_array();
    AUTOJSON json_t *settings = approval_settings("all", "none");
    struct script script;
    approve(history, "{\"decision\":\"approve\"}");
    for (int i = 0; i < 3; i++) {
        script_init(&script, ANSWERS(CALLS(CALL("1", "s__a", "{}"))));
        script.task.history = history;
        script.task.settings = settings;
        AUTOJSON json_t *end = script_run(&script);
        assert_string_equal(js_str(end, "outcome", ""), "waiting");
        assert_int_equal(script.executed, i > 0);
        keep(history, &script);
        approve(history, "{\"decision\":\"approve\"}");
        script_fini(&script);
    }
}

static void arguments_that_are_too_long_to_approve(void **state)
{
    (void)state;
    struct script script;
    AUTOJSON json_t *settings = approval_settings("all", "none");
    char *text = mem_alloc(60001);
    memset(text, 'x', 60000);
    AUTOFREE char *arguments = mem_printf("{\\\"x\\\": \\\"%s\\\"}", text);
    AUTOFREE char *answer = mem_printf(CALLS(CALL("1", "s__a", "%s")), arguments);
    script_init(&script, ANSWERS(answer, TEXT("ok")));
    script.task.settings = settings;
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    assert_non_null(strstr(script_said(&script, -1), "too long"));
    assert_int_equal(script.executed, 0);
    free(text);
    script_fini(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_on_behind_the_last_call),
        cmocka_unit_test(what_may_have_acted_is_unknown),
        cmocka_unit_test(budgets_go_on),
        cmocka_unit_test(a_death_at_any_event),
        cmocka_unit_test(approved_calls_are_made),
        cmocka_unit_test(denied_calls_are_told),
        cmocka_unit_test(a_wait_goes_on),
        cmocka_unit_test(each_wait_has_its_own_approval),
        cmocka_unit_test(arguments_that_are_too_long_to_approve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
