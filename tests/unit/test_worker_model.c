/* The worker's model calls against an endpoint that does as the test says, over real HTTP. */
#include "tests/unit/unit.h"

#include "libcommon/clock.h"
#include "libcommon/http_server.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/model.h"

enum { REPLIES_MAX = 8, ASKED_MAX = 64, WAIT_MS = 30000 };

enum ending { END, CUT, STALL }; /* of a stream */

struct reply {
    int status; /* 0: a stream */
    const char *body;
    enum ending ending;
    const char *header, *value;
};

struct fixture {
    struct loop *loop;
    struct http_server *server;
    struct model *model;
    struct settings settings;
    struct reply replies[REPLIES_MAX]; /* the last is given again and again */
    size_t reply_count;
    json_t *asked[ASKED_MAX];
    int64_t asked_at[ASKED_MAX];
    char path[200], credential[64];
    size_t asked_count, gone;
    json_t *answer;
    size_t answers;
    char base[64];
};

#define CHUNK(text) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define FINISH "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n"
#define DONE "data: [DONE]\n\n"
#define WHOLE "{\"choices\":[{\"message\":{\"content\":\"whole\"},\"finish_reason\":\"stop\"}]}"
#define ERROR(text) "{\"error\":{\"message\":\"" text "\"}}"

static void on_gone(void *arg, uint64_t id)
{
    (void)id;
    ((struct fixture *)arg)->gone++;
}

static void send_reply(struct fixture *f, struct http_request *request, const struct reply *reply)
{
    const struct http_header headers[] = {{reply->header, reply->value}, {NULL, NULL}};
    if (reply->status) {
        http_respond(request, reply->status, "application/json", reply->body, strlen(reply->body),
                     headers);
        return;
    }
    uint64_t id = http_request_id(request);
    assert_true(http_respond_stream(request, 200, "text/event-stream", headers, on_gone, f));
    assert_int_equal(http_stream_write(f->server, id, reply->body, strlen(reply->body)), ERR_OK);
    if (reply->ending == END)
        http_stream_end(f->server, id);
    else if (reply->ending == CUT)
        http_stream_cut(f->server, id);
}

static void on_request(void *arg, struct http_request *request)
{
    struct fixture *f = arg;
    size_t len, index = f->asked_count;
    const char *text = http_request_body(request, &len);
    const char *version = http_request_query(request, "api-version");
    const char *key = http_request_header(request, "api-key");
    assert_in_range(index, 0, ASKED_MAX - 1);
    assert_int_equal(js_parse(text, len, &f->asked[index], NULL), ERR_OK);
    f->asked_at[index] = clock_ms();
    snprintf(f->path, sizeof f->path, "%s?%s", http_request_path(request), version ? version : "");
    snprintf(f->credential, sizeof f->credential, "%s",
             key ? key : http_request_header(request, "Authorization"));
    f->asked_count++;
    send_reply(f, request, &f->replies[index < f->reply_count ? index : f->reply_count - 1]);
}

static int set_up(void **state)
{
    struct fixture *f = mem_alloc(sizeof *f);
    f->loop = loop_new();
    struct http_server_options options = {
        .address = "127.0.0.1",
        .body_max = 1 << 20,
        .connections_max = 128,
        .streams_max = 128,
        .receive_timeout_ms = 30000,
        .answer_timeout_ms = 60000,
        .on_request = on_request,
        .arg = f,
    };
    assert_int_equal(http_server_new(f->loop, &options, &f->server), ERR_OK);
    snprintf(f->base, sizeof f->base, "http://127.0.0.1:%d/v1", http_server_port(f->server));
    f->settings = (struct settings){
        .openai_base_url = f->base,
        .openai_api_key = "sk-secret",
        .openai_model = "m",
        .model_stream = "auto",
        .model_retries = 4,
        .model_timeout = 300,
        .model_idle_timeout = 120,
        .worker_concurrency = 64,
    };
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    model_destroy(&f->model);
    http_server_destroy(&f->server);
    for (size_t i = 0; i < f->asked_count; i++)
        json_decref(f->asked[i]);
    json_decref(f->answer);
    loop_destroy(&f->loop);
    free(f);
    return 0;
}

static void on_done(void *arg, const json_t *answer)
{
    struct fixture *f = arg;
    json_decref(f->answer);
    f->answer = json_deep_copy(answer);
    f->answers++;
}

static struct model_call *begin(struct fixture *f, int64_t timeout_ms, const char *model)
{
    if (!f->model)
        f->model = model_new(f->loop, &f->settings);
    AUTOJSON json_t *ask = json_pack("{s:[{s:s, s:s}], s:s*}", "messages", "role", "user",
                                     "content", "u", "model", model);
    return model_ask(f->model, ask, timeout_ms, on_done, f);
}

struct wanted {
    struct fixture *f;
    size_t answers, asked;
};

static bool is_there(void *arg)
{
    const struct wanted *wanted = arg;
    return wanted->f->answers >= wanted->answers && wanted->f->asked_count >= wanted->asked;
}

static void wait_for(struct fixture *f, size_t answers, size_t asked)
{
    struct wanted wanted = {f, answers, asked};
    assert_true(loop_run_until(f->loop, is_there, &wanted, WAIT_MS * 4));
}

/* Asks once, with much more time than the test has; the answer's text, or the error. */
static const char *ask(struct fixture *f)
{
    begin(f, WAIT_MS * 20, NULL);
    wait_for(f, f->answers + 1, 0);
    return js_str(json_object_get(f->answer, "message"), "content", js_str(f->answer, "error", ""));
}

static void script(struct fixture *f, const struct reply *replies, size_t count)
{
    memcpy(f->replies, replies, count * sizeof *replies);
    f->reply_count = count;
}
#define SCRIPT(f, ...)                             \
    script(f, (const struct reply[]){__VA_ARGS__}, \
           sizeof((const struct reply[]){__VA_ARGS__}) / sizeof(struct reply))

static void an_answer_is_streamed(void **state)
{
    struct fixture *f = *state;
    SCRIPT(f, {0, ": ping\n\n" CHUNK("a") CHUNK("b") FINISH USAGE DONE, END, NULL, NULL});
    assert_string_equal(ask(f), "ab");
    AUTOFREE char *usage = js_dump(json_object_get(f->answer, "usage"));
    assert_string_equal(usage, "{\"input_tokens\":3,\"output_tokens\":4,\"total_tokens\":7,"
                               "\"cached_tokens\":0,\"reasoning_tokens\":0}");
    assert_true(js_bool(f->asked[0], "stream", false));
    assert_string_equal(f->path, "/v1/chat/completions?");
    assert_string_equal(f->credential, "Bearer sk-secret");
}

static void an_endpoint_that_does_not_stream_is_understood(void **state)
{
    struct fixture *f = *state;
    SCRIPT(f, {200, WHOLE, END, NULL, NULL});
    assert_string_equal(ask(f), "whole");
    /* without usage it is estimated, so that no budget is evaded */
    const json_t *usage = json_object_get(f->answer, "usage");
    assert_true(js_bool(usage, "estimated", false) && js_int(usage, "total_tokens", 0) > 10);
}

static void streaming_off(void **state)
{
    struct fixture *f = *state;
    f->settings.model_stream = "off";
    f->settings.openai_api_version = "2024-10-21";
    snprintf(strchr(f->base + 10, '/'), 4, "/");
    SCRIPT(f, {200, WHOLE, END, NULL, NULL});
    assert_string_equal(ask(f), "whole");
    assert_false(js_bool(f->asked[0], "stream", true));
    assert_string_equal(f->path, "/openai/deployments/m/chat/completions?2024-10-21");
    assert_string_equal(f->credential, "sk-secret");
}

static void what_the_endpoint_lacks_is_left_out_for_good(void **state)
{
    struct fixture *f = *state;
    f->settings.model_temperature = "0.5";
    SCRIPT(
        f, {400, ERROR("Unrecognized request argument supplied: stream_options"), END, NULL, NULL},
        {400, ERROR("Unsupported value: 'temperature' does not support 0.5"), END, NULL, NULL},
        {400, ERROR("streaming is not supported"), END, NULL, NULL}, {200, WHOLE, END, NULL, NULL});
    assert_string_equal(ask(f), "whole");
    assert_int_equal(f->asked_count, 4);
    assert_non_null(json_object_get(f->asked[0], "stream_options"));
    assert_null(json_object_get(f->asked[1], "stream_options"));
    assert_null(json_object_get(f->asked[2], "temperature"));
    assert_false(js_bool(f->asked[3], "stream", true));
    assert_string_equal(ask(f), "whole");
    assert_int_equal(f->asked_count, 5);
    assert_false(js_bool(f->asked[4], "stream", true));
    assert_null(json_object_get(f->asked[4], "temperature"));
    /* another model there is another matter */
    begin(f, WAIT_MS, "other");
    wait_for(f, f->answers + 1, 0);
    assert_true(js_bool(f->asked[5], "stream", false));
    assert_string_equal(js_str(f->asked[5], "model", ""), "other");
}

static void streaming_on_stays_on(void **state)
{
    struct fixture *f = *state;
    f->settings.model_stream = "on";
    SCRIPT(f, {400, ERROR("streaming is not supported"), END, NULL, NULL});
    assert_non_null(strstr(ask(f), "streaming is not supported"));
    assert_int_equal(f->asked_count, 1);
}

static void a_cut_stream_is_asked_for_again_then_without_streaming(void **state)
{
    struct fixture *f = *state;
    SCRIPT(f, {0, CHUNK("a") CHUNK("b"), CUT, NULL, NULL}, {0, CHUNK("a"), END, NULL, NULL},
           {200, WHOLE, END, NULL, NULL});
    assert_string_equal(ask(f), "whole");
    assert_int_equal(f->asked_count, 3);
    assert_true(js_bool(f->asked[1], "stream", false));
    assert_false(js_bool(f->asked[2], "stream", true));
}

static void a_silent_stream_is_given_up(void **state)
{
    struct fixture *f = *state;
    f->settings.model_idle_timeout = 1;
    SCRIPT(f, {0, CHUNK("a"), STALL, NULL, NULL}, {0, CHUNK("b") FINISH DONE, END, NULL, NULL});
    assert_string_equal(ask(f), "b");
    assert_int_equal(f->asked_count, 2);
}

/* The answer is whole: nobody waits for the end of the connection. */
static void a_stream_that_stays_open_behind_its_end(void **state)
{
    struct fixture *f = *state;
    SCRIPT(f, {0, CHUNK("a") FINISH USAGE DONE, STALL, NULL, NULL});
    assert_string_equal(ask(f), "a");
    assert_int_equal(js_int(json_object_get(f->answer, "usage"), "total_tokens", 0), 7);
    assert_int_equal(f->asked_count, 1);
}

/* Some count their calls from one in each answer. */
static void an_id_of_the_conversation_is_not_used_again(void **state)
{
    struct fixture *f = *state;
    static const char call[] = "{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":"
                               "\"f\",\"arguments\":\"{}\"}}";
    AUTOFREE char *body = mem_printf("{\"choices\":[{\"message\":{\"tool_calls\":[%s]}}]}", call);
    AUTOFREE char *text = mem_printf("{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[%s]},"
                                     "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":"
                                     "\"r\"}]}",
                                     call);
    AUTOJSON json_t *request = NULL;
    assert_int_equal(js_parse(text, strlen(text), &request, NULL), ERR_OK);
    SCRIPT(f, {200, body, END, NULL, NULL});
    f->model = model_new(f->loop, &f->settings);
    model_ask(f->model, request, WAIT_MS, on_done, f);
    wait_for(f, 1, 1);
    json_t *calls = json_object_get(json_object_get(f->answer, "message"), "tool_calls");
    assert_int_equal(json_array_size(calls), 1);
    assert_string_not_equal(js_str(json_array_get(calls, 0), "id", "call_1"), "call_1");
}

static void an_error_in_the_stream_is_tried_again(void **state)
{
    struct fixture *f = *state;
    SCRIPT(f,
           {0, CHUNK("a") "data: {\"error\":{\"message\":\"m\",\"type\":\"server_error\"}}\n\n",
            END, NULL, NULL},
           {0, CHUNK("b") FINISH DONE, END, NULL, NULL});
    assert_string_equal(ask(f), "b");
    assert_int_equal(js_int(f->answer, "retries", 0), 1);
    assert_non_null(strstr(js_str(f->answer, "retry_reason", ""), ": m"));
}

static void what_may_pass_is_tried_again_as_often_as_it_says(void **state)
{
    struct fixture *f = *state;
    f->settings.model_retries = 3;
    SCRIPT(f, {500, "{}", END, "retry-after-ms", "1"});
    assert_non_null(strstr(ask(f), "status 500"));
    assert_int_equal(f->asked_count, 4);
    assert_string_equal(js_str(f->answer, "outcome", ""), "retry");
}

static void what_will_not_pass_is_not(void **state)
{
    struct fixture *f = *state;
    static const struct reply replies[] = {
        {400, ERROR("no"), END, NULL, NULL},
        {401, "{}", END, NULL, NULL},
        {500, ERROR("no"), END, "x-should-retry", "false"},
        {429, "{\"error\":{\"message\":\"pay\",\"code\":\"insufficient_quota\"}}", END,
         "x-should-retry", "true"},
        {400, "{\"error\":{\"message\":\"long\",\"code\":\"context_length_exceeded\"}}", END, NULL,
         NULL},
    };
    static const char *const codes[] = {"", "invalid_api_key", "", "insufficient_quota",
                                        "context_length_exceeded"};
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        f->reply_count = 1;
        f->replies[0] = replies[i];
        ask(f);
        assert_int_equal(f->asked_count, i + 1);
        assert_string_equal(js_str(f->answer, "outcome", ""), "failed");
        assert_string_equal(js_str(f->answer, "code", "none"), codes[i]);
    }
}

static void a_400_that_asks_for_it_is_tried_again(void **state)
{
    struct fixture *f = *state;
    SCRIPT(f, {400, "{}", END, "x-should-retry", "true"}, {200, WHOLE, END, NULL, NULL});
    assert_string_equal(ask(f), "whole");
}

static void retry_after_is_waited_for(void **state)
{
    struct fixture *f = *state;
    SCRIPT(f, {429, "{}", END, "Retry-After", "2"}, {200, WHOLE, END, NULL, NULL});
    assert_string_equal(ask(f), "whole");
    assert_true(f->asked_at[1] - f->asked_at[0] >= 1900);
}

/* It would come too late: the run hears at once, and may be tried again. */
static void a_wait_beyond_the_run_s_time_is_no_wait(void **state)
{
    struct fixture *f = *state;
    SCRIPT(f, {429, "{}", END, "Retry-After", "200"});
    begin(f, WAIT_MS, NULL);
    wait_for(f, 1, 1);
    assert_string_equal(js_str(f->answer, "outcome", ""), "retry");
    assert_string_equal(js_str(f->answer, "code", ""), "rate_limit_exceeded");
    assert_int_equal(f->asked_count, 1);
}

/* One limit slows all down: those that come later wait as well, and none at the same moment. */
static void a_limit_is_everyone_s(void **state)
{
    struct fixture *f = *state;
    SCRIPT(f, {429, "{}", END, "Retry-After", "1"}, {200, WHOLE, END, NULL, NULL});
    f->settings.model_retries = 0;
    ask(f);
    f->settings.model_retries = 4;
    for (int i = 0; i < 10; i++)
        begin(f, WAIT_MS, NULL);
    begin(f, WAIT_MS, "other");
    wait_for(f, 12, 12);
    assert_string_equal(js_str(f->asked[1], "model", ""), "other");
    for (int i = 2; i < 12; i++)
        assert_true(f->asked_at[i] - f->asked_at[0] >= 950);
    assert_true(f->asked_at[11] - f->asked_at[2] >= 100);
}

/* Jobs may name any model; one user's limits under invented names are not the others'. */
static void many_models_leave_the_usual_one_alone(void **state)
{
    struct fixture *f = *state;
    SCRIPT(f, {429, "{}", END, "Retry-After", "200"});
    f->settings.model_retries = 0;
    for (int i = 0; i < 32; i++) {
        char name[16];
        snprintf(name, sizeof name, "invented-%d", i);
        begin(f, i < 31 ? WAIT_MS * 4 : 20, name);
        wait_for(f, f->answers + 1, 0);
    }
    SCRIPT(f, {200, WHOLE, END, NULL, NULL});
    begin(f, WAIT_MS, NULL);
    wait_for(f, f->answers + 1, 0);
    assert_non_null(json_object_get(f->answer, "message"));
}

static bool all_gone(void *arg)
{
    return ((struct fixture *)arg)->gone == 3;
}

static void a_cancelled_call_is_gone_at_once(void **state)
{
    struct fixture *f = *state;
    SCRIPT(f, {0, CHUNK("a"), STALL, NULL, NULL});
    struct model_call *calls[3];
    for (size_t i = 0; i < 3; i++)
        calls[i] = begin(f, WAIT_MS, NULL);
    wait_for(f, 0, 3);
    for (size_t i = 0; i < 3; i++)
        model_cancel(&calls[i]);
    assert_null(calls[0]);
    assert_true(loop_run_until(f->loop, all_gone, f, WAIT_MS * 4));
    assert_int_equal(f->answers, 0);
    model_cancel(&calls[0]);
}

static void nobody_listens(void **state)
{
    struct fixture *f = *state;
    f->settings.model_retries = 1;
    f->settings.openai_base_url = "http://127.0.0.1:1/v1";
    assert_non_null(strstr(ask(f), "could not be reached"));
    assert_string_equal(js_str(f->answer, "outcome", ""), "retry");
}

static void settings_are_checked(void **state)
{
    struct fixture *f = *state;
    char why[MODEL_CONFIG_WHY_SIZE];
    static const char *const good[] = {"0", "0.2", "2", "1e0"};
    static const char *const bad[] = {"", "-1", "2.1", "warm", "0x1", ".5", "1.", "nan", "0.5,1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        f->settings.model_temperature = good[i];
        assert_int_equal(model_check_settings(&f->settings, why), ERR_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f->settings.model_temperature = bad[i];
        assert_int_equal(model_check_settings(&f->settings, why), ERR_INVALID);
        assert_non_null(strstr(why, "MODEL_TEMPERATURE"));
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_answer_is_streamed),
        CASE(an_endpoint_that_does_not_stream_is_understood),
        CASE(streaming_off),
        CASE(what_the_endpoint_lacks_is_left_out_for_good),
        CASE(streaming_on_stays_on),
        CASE(a_cut_stream_is_asked_for_again_then_without_streaming),
        CASE(a_silent_stream_is_given_up),
        CASE(a_stream_that_stays_open_behind_its_end),
        CASE(an_id_of_the_conversation_is_not_used_again),
        CASE(an_error_in_the_stream_is_tried_again),
        CASE(what_may_pass_is_tried_again_as_often_as_it_says),
        CASE(what_will_not_pass_is_not),
        CASE(a_400_that_asks_for_it_is_tried_again),
        CASE(retry_after_is_waited_for),
        CASE(a_wait_beyond_the_run_s_time_is_no_wait),
        CASE(a_limit_is_everyone_s),
        CASE(many_models_leave_the_usual_one_alone),
        CASE(a_cancelled_call_is_gone_at_once),
        CASE(nobody_listens),
        CASE(settings_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
