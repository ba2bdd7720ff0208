#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/model_draft.h"

/* Chunks or a whole answer, one a line. */
static enum err parse(const char *lines, json_t **ret_answer)
{
    char why[MODEL_WHY_SIZE] = "";
    struct model_draft *draft = model_draft_new();
    enum err err = ERR_OK;
    while (*lines && !err) {
        AUTOJSON json_t *json = NULL;
        size_t len = strcspn(lines, "\n");
        assert_int_equal(js_parse(lines, len, &json, NULL), ERR_OK);
        err = model_draft_add(draft, json, why);
        lines += len + (lines[len] != 0);
    }
    if (!err)
        err = model_draft_end(draft, ret_answer, why);
    assert_true(!err == !*why);
    model_draft_destroy(&draft);
    return err;
}

static void assert_answer(const char *lines, const char *expected)
{
    AUTOJSON json_t *answer = NULL;
    assert_int_equal(parse(lines, &answer), ERR_OK);
    AUTOFREE char *text = js_dump(answer);
    assert_string_equal(text, expected);
}

static json_t *calls_of(const json_t *answer)
{
    return json_object_get(json_object_get(answer, "message"), "tool_calls");
}

/* "ID NAME ARGUMENTS; " of each. */
static void assert_calls(const char *lines, const char *expected)
{
    AUTOJSON json_t *answer = NULL;
    struct buf out;
    size_t i;
    json_t *call;
    assert_int_equal(parse(lines, &answer), ERR_OK);
    buf_init(&out, 1 << 20);
    json_array_foreach(calls_of(answer), i, call)
    {
        const json_t *function = json_object_get(call, "function");
        buf_printf(&out, "%s %s %s; ", js_str(call, "id", ""), js_str(function, "name", ""),
                   js_str(function, "arguments", ""));
    }
    assert_string_equal(buf_text(&out), expected);
    buf_fini(&out);
}

#define MESSAGE(text) "{\"choices\":[{\"message\":" text "}]}"
#define DELTA(text) "{\"choices\":[{\"index\":0,\"delta\":" text "}]}\n"
#define CALL(text) DELTA("{\"tool_calls\":[" text "]}")
#define FINISH(reason) "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":" reason "}]}\n"

static void a_text_and_its_usage(void **state)
{
    (void)state;
    assert_answer("{\"model\":\"m-1\",\"choices\":[{\"message\":{\"role\":\"assistant\","
                  "\"content\":\"hi\",\"extra\":1,\"reasoning_content\":\"hm\"},"
                  "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,"
                  "\"completion_tokens\":4,\"total_tokens\":7,\"prompt_tokens_details\":"
                  "{\"cached_tokens\":2},\"completion_tokens_details\":{\"reasoning_tokens\":1}}}",
                  "{\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":"
                  "\"stop\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4,\"total_tokens\":7,"
                  "\"cached_tokens\":2,\"reasoning_tokens\":1},\"model\":\"m-1\"}");
}

static void pieces_of_a_text_are_joined(void **state)
{
    (void)state;
    assert_answer(
        DELTA("{\"role\":\"assistant\",\"content\":\"\"}") DELTA("{\"content\":\"Gr\"}") DELTA(
            "{\"content\":null,\"reasoning\":\"hm\"}") DELTA("{\"content\":\"\\u00fc\\u00dfe\"}")
            FINISH(
                "\"stop\"") "{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}",
        "{\"message\":{\"role\":\"assistant\",\"content\":\"Grüße\"},\"finish_reason\":"
        "\"stop\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2,\"total_tokens\":3,"
        "\"cached_tokens\":0,\"reasoning_tokens\":0}}");
}

static void parallel_calls_are_joined_by_index(void **state)
{
    (void)state;
    assert_calls(CALL("{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":"
                      "\"f\",\"arguments\":\"\"}}")
                     CALL("{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\"}}")
                         CALL("{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\"\"}}")
                             CALL("{\"index\":1,\"function\":{\"arguments\":\"{}\"}},"
                                  "{\"index\":0,\"function\":{\"arguments\":\":1}\"}}")
                                 FINISH("\"tool_calls\""),
                 "a f {\"x\":1}; b g {}; ");
}

/* Gemini: each call whole, all of index 0; others: no index, the id alone or in each piece. */
static void calls_without_a_usable_index_are_joined_by_id(void **state)
{
    (void)state;
    assert_calls(
        CALL("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}")
            CALL("{\"index\":0,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"[]\"}}"),
        "a f {}; b g []; ");
    assert_calls(CALL("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}")
                     CALL("{\"function\":{\"arguments\":\"}\"}}") CALL(
                         "{\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{\"}}")
                         CALL("{\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"}\"}}"),
                 "a f {}; b g {}; ");
}

static void calls_get_distinct_ids_and_text_arguments(void **state)
{
    (void)state;
    AUTOJSON json_t *answer = NULL;
    assert_int_equal(
        parse(MESSAGE("{\"content\":null,\"tool_calls\":["
                      "{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
                      "{\"id\":\"a\",\"function\":{\"name\":\"g\",\"arguments\":{\"x\":1}}},"
                      "{\"function\":{\"name\":\"h\"}}]}"),
              &answer),
        ERR_OK);
    json_t *calls = calls_of(answer);
    assert_int_equal(json_array_size(calls), 3);
    const char *ids[3];
    for (size_t i = 0; i < 3; i++)
        ids[i] = js_str(json_array_get(calls, i), "id", "");
    assert_string_equal(ids[0], "a");
    assert_string_not_equal(ids[1], "a");
    assert_string_not_equal(ids[1], ids[2]);
    assert_int_equal(strlen(ids[2]), 9);
    assert_string_equal(
        js_str(json_object_get(json_array_get(calls, 1), "function"), "arguments", ""),
        "{\"x\":1}");
}

static void a_long_id_is_replaced(void **state)
{
    (void)state;
    AUTOJSON json_t *answer = NULL;
    assert_int_equal(
        parse(CALL("{\"index\":0,\"id\":\"a234567890123456789012345678901234567890x\",\"function\":"
                   "{\"name\":\"f\"}}") CALL("{\"index\":0,\"function\":{\"arguments\":\"{}\"}}"),
              &answer),
        ERR_OK);
    assert_int_equal(json_array_size(calls_of(answer)), 1);
    assert_int_equal(strlen(js_str(json_array_get(calls_of(answer), 0), "id", "")), 9);
}

/* What is sent back must be legal, whatever a model has made up. */
static void names_become_legal(void **state)
{
    (void)state;
    assert_calls(
        MESSAGE("{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"functions.s__f\"}},"
                "{\"id\":\"b\",\"function\":{\"name\":\"a b.c/\\u00fc\"}}]}"),
        "a s__f {}; b a_b_c___ {}; ");
}

static void older_and_odd_forms(void **state)
{
    (void)state;
    AUTOJSON json_t *answer = NULL;
    assert_int_equal(parse(DELTA("{\"function_call\":{\"name\":\"f\",\"arguments\":\"{\"}}")
                               DELTA("{\"function_call\":{\"arguments\":\"}\"}}")
                                   FINISH("\"function_call\""),
                           &answer),
                     ERR_OK);
    assert_string_equal(js_str(answer, "finish_reason", ""), "tool_calls");
    assert_int_equal(json_array_size(calls_of(answer)), 1);
    assert_answer(
        MESSAGE("{\"content\":[{\"type\":\"thinking\",\"text\":\"hm\"},{\"type\":\"text\","
                "\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}"),
        "{\"message\":{\"role\":\"assistant\",\"content\":\"ab\"},\"finish_reason\":"
        "\"stop\"}");
    assert_answer(MESSAGE("{\"content\":\"<think>\\nhm</think>\\n\\nyes\"}"),
                  "{\"message\":{\"role\":\"assistant\",\"content\":\"yes\"},\"finish_reason\":"
                  "\"stop\"}");
}

static void a_refusal_is_told(void **state)
{
    (void)state;
    assert_answer(DELTA("{\"role\":\"assistant\",\"content\":null,\"refusal\":\"\"}")
                      DELTA("{\"refusal\":\"I \"}") DELTA("{\"refusal\":\"won't.\"}")
                          FINISH("\"stop\""),
                  "{\"message\":{\"role\":\"assistant\",\"content\":\"I won't.\",\"refusal\":\"I "
                  "won't.\"},\"finish_reason\":\"stop\"}");
}

static void finish_reasons_are_those_of_the_api(void **state)
{
    (void)state;
    static const char *const words[][2] = {
        {"\"stop\"", "stop"},
        {"\"length\"", "length"},
        {"\"MAX_TOKENS\"", "length"},
        {"\"end_turn\"", "stop"},
        {"\"content_filter\"", "content_filter"},
        {"\"content_filter: RECITATION\"", "content_filter"},
        {"\"SAFETY\"", "content_filter"},
        {"\"insufficient_system_resource\"", "error"},
        {"null", "stop"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        AUTOJSON json_t *answer = NULL;
        AUTOFREE char *lines = mem_printf(
            DELTA("{\"content\":\"x\"}") "{\"choices\":[{\"finish_reason\":%s}]}", words[i][0]);
        assert_int_equal(parse(lines, &answer), ERR_OK);
        assert_string_equal(js_str(answer, "finish_reason", ""), words[i][1]);
    }
    /* "stop" with tool calls: they are to be done */
    AUTOJSON json_t *answer = NULL;
    assert_int_equal(parse(CALL("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\"}}")
                               FINISH("\"stop\""),
                           &answer),
                     ERR_OK);
    assert_string_equal(js_str(answer, "finish_reason", ""), "tool_calls");
}

static void usage_in_the_words_of_others(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        /* reasoning only in the total */
        {"\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":40}", "30"},
        {"\"usage\":{\"input_tokens\":10,\"output_tokens\":5}", "5"},
        {"\"x_groq\":{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":6}}", "6"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTOJSON json_t *answer = NULL;
        AUTOFREE char *line = mem_printf("{\"choices\":[{\"message\":{}}],%s}", cases[i][0]);
        assert_int_equal(parse(line, &answer), ERR_OK);
        AUTOFREE char *output =
            js_dump(json_object_get(json_object_get(answer, "usage"), "output_tokens"));
        assert_string_equal(output, cases[i][1]);
    }
    AUTOJSON json_t *none = NULL;
    assert_int_equal(parse("{\"choices\":[{\"message\":{}}],\"usage\":{\"prompt_tokens\":-4,"
                           "\"completion_tokens\":99999999999}}",
                           &none),
                     ERR_OK);
    assert_null(json_object_get(none, "usage"));
}

static void what_gemini_signs_goes_back_to_it(void **state)
{
    (void)state;
    AUTOJSON json_t *answer = NULL;
    assert_int_equal(parse(CALL("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\"},"
                                "\"extra_content\":{\"google\":{\"thought_signature\":\"s\"}}}"),
                           &answer),
                     ERR_OK);
    AUTOFREE char *text =
        js_dump(json_object_get(json_array_get(calls_of(answer), 0), "extra_content"));
    assert_string_equal(text, "{\"google\":{\"thought_signature\":\"s\"}}");
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "[]",
        "7",
        "{}",
        "{\"choices\":[]}",
        "{\"choices\":{}}",
        "{\"choices\":[7]}",
        MESSAGE("\"hi\""),
        MESSAGE("{\"tool_calls\":{}}"),
        MESSAGE("{\"tool_calls\":[7]}"),
        MESSAGE("{\"tool_calls\":[{\"function\":{\"name\":\"\"}}]}"),
        MESSAGE("{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":7}}]}"),
        CALL("{\"index\":0,\"function\":{\"arguments\":\"{}\"}}"),
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        json_t *answer = NULL;
        assert_int_equal(parse(bodies[i], &answer), ERR_INVALID);
        assert_null(answer);
    }
}

/* Adds the same chunk until it is refused; how often it was taken. */
static size_t fill(const char *line, size_t most)
{
    AUTOJSON json_t *json = NULL;
    char why[MODEL_WHY_SIZE] = "";
    struct model_draft *draft = model_draft_new();
    size_t taken = 0;
    assert_int_equal(js_parse(line, strlen(line), &json, NULL), ERR_OK);
    while (taken < most && !model_draft_add(draft, json, why))
        taken++;
    model_draft_destroy(&draft);
    assert_true(taken == most || *why);
    return taken;
}

static void nothing_grows_without_end(void **state)
{
    (void)state;
    AUTOFREE char *filler = mem_alloc(65537);
    memset(filler, 'x', 65536);
    AUTOFREE char *text = mem_printf(DELTA("{\"content\":\"%s\"}"), filler);
    AUTOFREE char *refusal = mem_printf(DELTA("{\"refusal\":\"%s\"}"), filler);
    AUTOFREE char *arguments = mem_printf(
        CALL("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"%s\"}}"),
        filler);
    AUTOFREE char *name = mem_printf(CALL("{\"index\":0,\"function\":{\"name\":\"%s\"}}"), filler);
    assert_in_range(fill(text, 1000), 30, 33);
    assert_in_range(fill(refusal, 1000), 0, 2);
    assert_in_range(fill(arguments, 1000), 14, 17);
    assert_int_equal(fill(name, 10), 0);
    /* an id that is new each time: 64 calls */
    struct model_draft *draft = model_draft_new();
    char why[MODEL_WHY_SIZE];
    int taken = 0;
    for (enum err err = ERR_OK; !err && taken < 1000; taken++) {
        AUTOJSON json_t *json = json_pack("{s:[{s:{s:[{s:i, s:{s:s}}]}}]}", "choices", "delta",
                                          "tool_calls", "index", taken, "function", "name", "f");
        err = model_draft_add(draft, json, why);
    }
    assert_int_equal(taken, MODEL_CALLS_MAX + 1);
    model_draft_destroy(&draft);
}

/* What is there to show after each of these pieces of a text. */
static void assert_shown(const char *const *pieces, const char *const *shown)
{
    char why[MODEL_WHY_SIZE];
    struct model_draft *draft = model_draft_new();
    for (size_t i = 0; pieces[i]; i++) {
        AUTOJSON json_t *json =
            json_pack("{s:[{s:{s:s}}]}", "choices", "delta", "content", pieces[i]);
        assert_int_equal(model_draft_add(draft, json, why), ERR_OK);
        size_t len;
        const char *text = model_draft_text(draft, &len);
        assert_int_equal(len, strlen(shown[i]));
        assert_memory_equal(text, shown[i], len);
    }
    model_draft_destroy(&draft);
}

static void a_text_can_be_shown_as_it_comes(void **state)
{
    (void)state;
    assert_shown((const char *const[]){"", " \n", "Hel", "lo", NULL},
                 (const char *const[]){"", "", " \nHel", " \nHello"});
    assert_shown((const char *const[]){"<", "th", "an", NULL},
                 (const char *const[]){"", "", "<than"});
    assert_shown((const char *const[]){"a <think>no thought</think>", NULL},
                 (const char *const[]){"a <think>no thought</think>"});
}

static void thoughts_are_not_shown(void **state)
{
    (void)state;
    assert_shown(
        (const char *const[]){"\n<thi", "nk>a", "</th", "in", "k>", "\n", "b", "</think>", NULL},
        (const char *const[]){"", "", "", "", "", "", "b", "b</think>"});
    assert_shown((const char *const[]){"<think>", "never ends", NULL},
                 (const char *const[]){"", ""});
    assert_shown((const char *const[]){"<think></think>at once", NULL},
                 (const char *const[]){"at once"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_and_its_usage),
        cmocka_unit_test(pieces_of_a_text_are_joined),
        cmocka_unit_test(parallel_calls_are_joined_by_index),
        cmocka_unit_test(calls_without_a_usable_index_are_joined_by_id),
        cmocka_unit_test(calls_get_distinct_ids_and_text_arguments),
        cmocka_unit_test(a_long_id_is_replaced),
        cmocka_unit_test(names_become_legal),
        cmocka_unit_test(older_and_odd_forms),
        cmocka_unit_test(a_refusal_is_told),
        cmocka_unit_test(finish_reasons_are_those_of_the_api),
        cmocka_unit_test(usage_in_the_words_of_others),
        cmocka_unit_test(what_gemini_signs_goes_back_to_it),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(nothing_grows_without_end),
        cmocka_unit_test(a_text_can_be_shown_as_it_comes),
        cmocka_unit_test(thoughts_are_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
