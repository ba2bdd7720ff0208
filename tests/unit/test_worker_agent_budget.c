/* What a run may use: which limit holds, what is counted, and when it ends. */
#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/agent_budget.h"
#include "tests/unit/agent_fixture.h"

#define ANSWERS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct agent_budget budget_of(json_t *settings, json_t *options)
{
    struct agent_budget budget;
    agent_budget_init(&budget, settings, options);
    return budget;
}

static void an_option_only_lowers(void **state)
{
    (void)state;
    AUTOJSON json_t *settings = json_pack("{s:s, s:i, s:i, s:f}", "model", "m", "max_turns", 10,
                                          "max_tokens", 1000, "max_cost", 0.5);
    AUTOJSON json_t *more =
        json_pack("{s:i, s:i, s:f}", "max_turns", 20, "max_tokens", 2000, "max_cost", 1.0);
    AUTOJSON json_t *less = json_pack("{s:s, s:i, s:i, s:f}", "model", "other", "max_turns", 2,
                                      "max_tokens", 200, "max_cost", 0.1);
    AUTOJSON json_t *odd =
        json_pack("{s:i, s:i, s:f}", "max_turns", -2, "max_tokens", 0, "max_cost", -0.1);
    json_t *kept[] = {more, odd, NULL};
    for (size_t i = 0; i < 3; i++) {
        struct agent_budget budget = budget_of(settings, kept[i]);
        assert_int_equal(budget.max_turns, 10);
        assert_int_equal(budget.max_tokens, 1000);
        assert_true(budget.max_cost > 0.49 && budget.max_cost < 0.51);
    }
    struct agent_budget budget = budget_of(settings, less);
    assert_string_equal(budget.model, "other");
    assert_int_equal(budget.max_turns, 2);
    assert_int_equal(budget.max_tokens, 200);
    assert_true(budget.max_cost < 0.11);
    struct agent_budget open = budget_of(NULL, less);
    assert_int_equal(open.max_tokens, 200);
    assert_true(open.max_cost > 0);
}

static void prices_are_found_by_the_longest_name(void **state)
{
    (void)state;
    AUTOJSON json_t *settings =
        json_pack("{s:s, s:f, s:{s:[f,f,f], s:[f,f,f]}}", "model", "gpt-4o-mini-2024", "max_cost",
                  1.0, "prices", "gpt-4o", 10.0, 5.0, 20.0, "gpt-4o-mini", 1.0, 0.5, 2.0);
    struct agent_budget budget = budget_of(settings, NULL);
    assert_true(budget.priced);
    assert_null(agent_budget_problem(&budget));
    AUTOJSON json_t *usage =
        json_pack("{s:i, s:i, s:i, s:i}", "input_tokens", 200000, "output_tokens", 50000,
                  "total_tokens", 300000, "cached_tokens", 100000);
    agent_budget_add(&budget, usage, 0, 0);
    /* 0.1 M read, 0.1 M from the cache, 0.05 M written and 0.05 M thought */
    assert_true(agent_budget_cost(&budget) > 0.3499 && agent_budget_cost(&budget) < 0.3501);
    AUTOJSON json_t *told = agent_budget_usage(&budget);
    AUTOJSON json_t *price = agent_budget_price(&budget, usage);
    assert_true(json_real_value(json_object_get(told, "cost")) == 0.35);
    assert_true(json_real_value(price) == 0.35);
    AUTOJSON json_t *options = json_pack("{s:s}", "model", "llama");
    struct agent_budget unknown = budget_of(settings, options);
    AUTOFREE char *problem = agent_budget_problem(&unknown);
    assert_non_null(strstr(problem, "no price for the model llama"));
    AUTOJSON json_t *untold = agent_budget_usage(&unknown);
    assert_null(json_object_get(untold, "cost"));
    assert_null(agent_budget_price(&unknown, usage));
}

static void answers_without_usage_are_estimated(void **state)
{
    (void)state;
    AUTOJSON json_t *settings = json_pack("{s:i}", "max_tokens", 1000);
    struct agent_budget budget = budget_of(settings, NULL);
    agent_budget_add(&budget, NULL, 900, 50);
    AUTOFREE char *why = agent_budget_exhausted(&budget, 40, true);
    assert_non_null(strstr(why, "budget_exhausted: tokens: "));
    AUTOJSON json_t *usage = agent_budget_usage(&budget);
    assert_int_equal(js_int(usage, "total_tokens", -1), 0); /* only what was said is told */
}

static void the_answer_gets_what_is_left(void **state)
{
    (void)state;
    AUTOJSON json_t *settings =
        json_pack("{s:i, s:f, s:{s:[f,f,f]}, s:s}", "max_tokens", 1000, "max_cost", 0.001, "prices",
                  "m", 1.0, 1.0, 2.0, "model", "m");
    struct agent_budget budget = budget_of(settings, NULL);
    assert_int_equal(agent_budget_answer_tokens(&budget, 100), 450); /* $0.0009 of $2 a million */
    budget.max_cost = 0;
    assert_int_equal(agent_budget_answer_tokens(&budget, 100), 900);
    budget.max_tokens = 0;
    assert_int_equal(agent_budget_answer_tokens(&budget, 100), 0);
}

static void hostile_numbers_stay_numbers(void **state)
{
    (void)state;
    AUTOJSON json_t *settings = json_pack("{s:i}", "max_tokens", 1000);
    struct agent_budget budget = budget_of(settings, NULL);
    AUTOJSON json_t *usage =
        json_pack("{s:I, s:I, s:I}", "input_tokens", (json_int_t)-5, "output_tokens",
                  (json_int_t)INT64_MAX, "total_tokens", (json_int_t)INT64_MAX);
    for (int i = 0; i < 100; i++)
        agent_budget_add(&budget, usage, 0, 0);
    assert_true(budget.usage.total > 0 && budget.usage.input == 0);
    AUTOJSON json_t *negative = json_pack("{s:i, s:i}", "input_tokens", -1, "total_tokens", -1);
    agent_budget_resume(&budget, negative, -3);
    assert_int_equal(budget.turns, 100);
}

/* Through the agent. */

static void turns_end_with_a_last_word(void **state)
{
    (void)state;
    struct script script;
    AUTOJSON json_t *options = json_pack("{s:i}", "max_turns", 3);
    script_init(&script, ANSWERS(CALLS(CALL("1", "s__a", "{}")), CALLS(CALL("2", "s__a", "{}")),
                                 CALLS(CALL("3", "s__a", "{}")), TEXT("so far: x")));
    script.task.options = options;
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "failed");
    assert_int_equal(strncmp(js_str(end, "error_message", ""), "budget_exhausted: turns", 23), 0);
    assert_non_null(strstr(js_str(end, "error_message", ""), "3 model calls"));
    assert_string_equal(js_str(end, "result", ""), "so far: x");
    assert_int_equal(json_array_size(script.requests), 4);
    assert_string_equal(js_str(script_last_request(&script), "tool_choice", ""), "none");
    assert_non_null(strstr(script_said(&script, 0), "No tool can be called any more"));
    assert_conversations(&script);
    script_fini(&script);
}

/* A model that calls even so, or fails: what the tools have found is kept. */
static void turns_end_whatever_the_model_does(void **state)
{
    static const char *const last[] = {CALLS(CALL("9", "s__a", "{}")),
                                       "{\"error\":\"no\",\"outcome\":\"failed\"}"};
    (void)state;
    AUTOJSON json_t *options = json_pack("{s:i}", "max_turns", 1);
    for (size_t i = 0; i < 2; i++) {
        struct script script;
        script_init(&script, ANSWERS(CALLS(CALL("1", "s__a", "{}")), last[i]));
        script.task.options = options;
        AUTOJSON json_t *end = script_run(&script);
        assert_int_equal(strncmp(js_str(end, "error_message", ""), "budget_exhausted: turns", 23),
                         0);
        assert_non_null(strstr(js_str(end, "result", ""), "Found so far:\n\ns__a:\ns__a"));
        assert_int_equal(json_array_size(script.requests), 2);
        assert_int_equal(script.executed, 1);
        script_fini(&script);
    }
}

static void time_has_an_end(void **state)
{
    (void)state;
    struct script script;
    script_init(&script, ANSWERS(SAID("\"I begin\"", CALL("1", "s__a", "{}"), "tool_calls")));
    script.step = 400;
    AUTOJSON json_t *late = script_run(&script);
    assert_string_equal(js_str(late, "outcome", ""), "failed");
    assert_int_equal(strncmp(js_str(late, "error_message", ""), "budget_exhausted: time", 22), 0);
    assert_non_null(strstr(js_str(late, "error_message", ""), "within 1 seconds"));
    assert_string_equal(js_str(late, "result", ""), "I begin");
    script_fini(&script);
}

static void tokens_have_an_end(void **state)
{
    (void)state;
    struct script script;
    AUTOJSON json_t *options = json_pack("{s:i}", "max_tokens", 3000);
    script_init(
        &script,
        ANSWERS("{\"message\":{\"role\":\"assistant\",\"content\":\"hm\",\"tool_calls\":[" CALL(
            "1", "s__a", "{}") "]},\"usage\":{\"input_tokens\":1000,"
                               "\"output_tokens\":10,\"total_tokens\":1010}}"));
    script.task.options = options;
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "failed");
    assert_int_equal(strncmp(js_str(end, "error_message", ""), "budget_exhausted: tokens", 24), 0);
    assert_string_equal(js_str(end, "result", ""), "hm");
    assert_true(js_int(json_object_get(end, "token_usage"), "total_tokens", 0) <= 3000);
    assert_in_range(js_int(json_array_get(script.requests, 0), "max_completion_tokens", 0), 1000,
                    2990);
    script_fini(&script);
}

/* The tools that go with a question are a part of it, of the first one too. */
static void a_question_that_is_too_dear_is_not_asked(void **state)
{
    (void)state;
    struct script script;
    AUTOJSON json_t *options = json_pack("{s:i}", "max_tokens", 1000);
    script_init(&script, ANSWERS(TEXT("x")));
    char description[8001];
    memset(description, 'd', 8000);
    description[8000] = '\0';
    script_add_tool(&script, "s__long", description);
    script.task.options = options;
    AUTOJSON json_t *end = script_run(&script);
    assert_int_equal(strncmp(js_str(end, "error_message", ""), "budget_exhausted: tokens", 24), 0);
    assert_int_equal(json_array_size(script.requests), 0);
    script_fini(&script);
}

static void an_answer_that_the_budget_cuts(void **state)
{
    (void)state;
    struct script script;
    AUTOJSON json_t *options = json_pack("{s:i}", "max_tokens", 3000);
    script_init(&script, ANSWERS("{\"message\":{\"role\":\"assistant\",\"content\":\"Once upo\"},"
                                 "\"finish_reason\":\"length\"}"));
    script.task.options = options;
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "failed");
    assert_int_equal(strncmp(js_str(end, "error_message", ""), "budget_exhausted: ", 18), 0);
    assert_string_equal(js_str(end, "result", ""), "Once upo");
    script_fini(&script);
}

static void a_cost_limit_needs_a_price(void **state)
{
    (void)state;
    struct script script;
    AUTOJSON json_t *options = json_pack("{s:f}", "max_cost", 0.1);
    script_init(&script, ANSWERS(TEXT("x")));
    script.task.options = options;
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "failed");
    assert_non_null(strstr(js_str(end, "error_message", ""), "MODEL_PRICES"));
    assert_int_equal(json_array_size(script.requests), 0);
    script_fini(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_option_only_lowers),
        cmocka_unit_test(prices_are_found_by_the_longest_name),
        cmocka_unit_test(answers_without_usage_are_estimated),
        cmocka_unit_test(the_answer_gets_what_is_left),
        cmocka_unit_test(hostile_numbers_stay_numbers),
        cmocka_unit_test(turns_end_with_a_last_word),
        cmocka_unit_test(turns_end_whatever_the_model_does),
        cmocka_unit_test(time_has_an_end),
        cmocka_unit_test(tokens_have_an_end),
        cmocka_unit_test(a_question_that_is_too_dear_is_not_asked),
        cmocka_unit_test(an_answer_that_the_budget_cuts),
        cmocka_unit_test(a_cost_limit_needs_a_price),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
