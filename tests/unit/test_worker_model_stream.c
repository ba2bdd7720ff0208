#include "tests/unit/unit.h"

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/model_stream.h"

/* Feeds it in pieces of `step` bytes; what it came to, and the answer's text or the reason. */
static enum model_verdict feed(const char *body, size_t step, char ret_text[MODEL_WHY_SIZE])
{
    struct model_stream *stream = model_stream_new("sk-secret");
    struct model_error error = {0};
    json_t *answer = NULL;
    size_t len = strlen(body);
    for (size_t at = 0; at < len; at += step)
        if (!model_stream_feed(stream, body + at, len - at < step ? len - at : step))
            break;
    enum model_verdict verdict = model_stream_end(stream, &answer, &error);
    const char *text = js_str(json_object_get(answer, "message"), "content", "");
    snprintf(ret_text, MODEL_WHY_SIZE, "%s", verdict == MODEL_ANSWERED ? text : error.why);
    assert_true((verdict == MODEL_ANSWERED) == (answer != NULL));
    json_decref(answer);
    model_stream_destroy(&stream);
    return verdict;
}

static void assert_verdict(const char *body, enum model_verdict expected, const char *expected_text)
{
    static const size_t steps[] = {1, 2, 7, 64, 1 << 20};
    char text[MODEL_WHY_SIZE];
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(feed(body, steps[i], text), expected);
        assert_string_equal(text, expected_text);
    }
}

#define CHUNK(text) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define END "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"

static void events_and_whole_answers(void **state)
{
    (void)state;
    assert_verdict(CHUNK("Gr") CHUNK("\\u00fc\\u00dfe") END "data: [DONE]\n\n", MODEL_ANSWERED,
                   "Grüße");
    assert_verdict(
        ": OPENROUTER PROCESSING\n\n: ping\r\n\r\n" CHUNK("a") "event: ping\ndata:\n\n" END,
        MODEL_ANSWERED, "a");
    /* without a finish_reason, but with the end */
    assert_verdict(CHUNK("a") "data: [DONE]\n\n", MODEL_ANSWERED, "a");
    assert_verdict("\xef\xbb\xbf" CHUNK("a") END, MODEL_ANSWERED, "a");
    assert_verdict("\n\n {\"choices\":[{\"message\":{\"content\":\"a\"}}]}\n", MODEL_ANSWERED, "a");
    /* Azure begins with what its filter says */
    assert_verdict("data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n" CHUNK("a") END,
                   MODEL_ANSWERED, "a");
}

static void values_without_number_are_no_answer(void **state)
{
    (void)state;
    static const char *const heads[] = {"{\"x\":[", "data: {\"x\":["};
    for (size_t i = 0; i < 2; i++) {
        struct buf body;
        char why[MODEL_WHY_SIZE];
        buf_init(&body, 1 << 20);
        buf_add_str(&body, heads[i]);
        for (size_t n = 0; n < MODEL_VALUES_MAX; n++)
            buf_add_str(&body, "[],");
        buf_add_str(&body, "0],\"choices\":[{\"message\":{\"content\":\"a\"}}]}\n\n");
        assert_int_equal(feed(buf_text(&body), 16384, why), MODEL_MALFORMED);
        assert_string_equal(why, "it holds too many values");
        buf_fini(&body);
    }
}

static void what_is_cut_is_no_answer(void **state)
{
    (void)state;
    assert_verdict("", MODEL_CUT, "it ended before its end");
    assert_verdict(CHUNK("a"), MODEL_CUT, "it ended before its end");
    assert_verdict(CHUNK("a") "data: {\"choices\":[{\"finish_reason\":\"stop\"", MODEL_CUT,
                   "it ended before its end");
    assert_verdict("{\"choices\":[{\"mess", MODEL_MALFORMED, "it is not JSON");
    assert_verdict("<html>", MODEL_MALFORMED, "it is not JSON");
    assert_verdict(CHUNK("a") "data: {\n\n", MODEL_MALFORMED, "it is not JSON");
    assert_verdict("data: [DONE]\n\n", MODEL_MALFORMED, "it has no choices[0].message");
}

static void errors_inside_a_200(void **state)
{
    (void)state;
    assert_verdict(
        CHUNK("a") "data: {\"error\":{\"message\":\"fell, sk-secret\",\"code\":500}}\n\n",
        MODEL_REFUSED, "fell, *********");
    assert_verdict(
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
        "\"message\":\"busy\"}}\n\n",
        MODEL_REFUSED, "busy");
    assert_verdict("{\"error\":{\"message\":\"no\"}}", MODEL_REFUSED, "no");
    assert_verdict(
        CHUNK("a") "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\n",
        MODEL_REFUSED, "the model ended with an error");
}

static void the_state_tells_what_may_still_come(void **state)
{
    (void)state;
    struct model_stream *stream = model_stream_new(NULL);
    assert_int_equal(model_stream_state(stream), MODEL_STREAM_OPEN);
    assert_true(model_stream_feed(stream, CHUNK("a"), strlen(CHUNK("a"))));
    assert_true(model_stream_is_events(stream));
    assert_int_equal(model_stream_state(stream), MODEL_STREAM_OPEN);
    assert_true(model_stream_feed(stream, END, strlen(END)));
    assert_int_equal(model_stream_state(stream), MODEL_STREAM_FINISHED);
    assert_true(model_stream_feed(stream, "data: [DONE]\n\n", 14));
    assert_int_equal(model_stream_state(stream), MODEL_STREAM_DONE);
    /* what comes behind the end is nothing */
    assert_true(model_stream_feed(stream, "data: {\n\n", 9));
    struct model_error error;
    json_t *answer = NULL;
    assert_int_equal(model_stream_end(stream, &answer, &error), MODEL_ANSWERED);
    json_decref(answer);
    model_stream_destroy(&stream);
}

static void nothing_is_gathered_without_end(void **state)
{
    (void)state;
    AUTOFREE char *filler = mem_alloc(1 << 20);
    memset(filler, 'x', 1 << 20);
    static const char *const starts[] = {"data: ", "{\"a\":\"", "data: {\"choices\":\""};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        struct model_stream *stream = model_stream_new(NULL);
        json_t *answer = NULL;
        struct model_error error;
        int fed = 0;
        assert_true(model_stream_feed(stream, starts[i], strlen(starts[i])));
        while (fed < 100 && model_stream_feed(stream, filler, 1 << 20))
            fed++;
        assert_true(fed < 100);
        assert_int_equal(model_stream_end(stream, &answer, &error), MODEL_MALFORMED);
        model_stream_destroy(&stream);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_and_whole_answers),
        cmocka_unit_test(values_without_number_are_no_answer),
        cmocka_unit_test(what_is_cut_is_no_answer),
        cmocka_unit_test(errors_inside_a_200),
        cmocka_unit_test(the_state_tells_what_may_still_come),
        cmocka_unit_test(nothing_is_gathered_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
