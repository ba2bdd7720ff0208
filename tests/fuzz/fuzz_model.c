/* What a model's endpoint may answer: a stream or a body in pieces of any size, and refusals. What
 * comes out must be fit to be sent back and recorded, and never show the key. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "services/worker/model_stream.h"

static const char KEY[] = "sk-secret";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool is_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return len >= 1 && len <= 64 && !name[len];
}

static void check_answer(const json_t *answer)
{
    const json_t *message = json_object_get(answer, "message");
    json_t *calls = json_object_get(message, "tool_calls"), *call;
    size_t i;
    check(strcmp(js_str(message, "role", ""), "assistant") == 0);
    check(js_dump_size(answer) <= MODEL_ANSWER_JSON_MAX);
    check(strcmp(js_str(answer, "finish_reason", "error"), "error") != 0);
    check(json_array_size(calls) <= MODEL_CALLS_MAX);
    json_array_foreach(calls, i, call)
    {
        const json_t *function = json_object_get(call, "function");
        check(is_name(js_str(function, "name", "")));
        check(js_str(function, "arguments", NULL) != NULL);
        check(*js_str(call, "id", ""));
        for (size_t j = 0; j < i; j++)
            check(strcmp(js_str(call, "id", ""), js_str(json_array_get(calls, j), "id", "")) != 0);
    }
}

static void check_error(const struct model_error *error)
{
    check(js_is_utf8(error->why, strlen(error->why)));
    check(!strstr(error->why, KEY));
    check(js_is_utf8(error->code, strlen(error->code)));
    check(!strstr(error->code, KEY));
}

/* What has been shown of the answer stays the beginning of it. */
static void check_shown(struct model_stream *stream, struct buf *shown)
{
    size_t len;
    const char *text = model_stream_text(stream, &len);
    check(js_is_utf8(text, len));
    check(len >= shown->len && memcmp(text, buf_text(shown), shown->len) == 0);
    buf_add(shown, text + shown->len, len - shown->len);
}

static void check_ended(const json_t *answer, struct buf *shown)
{
    const char *text = js_str(json_object_get(answer, "message"), "content", "");
    check(strncmp(text, buf_text(shown), shown->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t step = data[0] ? data[0] : size;
    const char *body = (const char *)data + 1;
    size_t len = size - 1;
    struct model_error error;
    model_error_read(body, len, 400, KEY, &error);
    check_error(&error);
    struct model_stream *stream = model_stream_new(KEY);
    struct buf shown;
    buf_init(&shown, MODEL_TEXT_MAX);
    for (size_t at = 0; at < len; at += step) {
        if (!model_stream_feed(stream, body + at, len - at < step ? len - at : step))
            break;
        check_shown(stream, &shown);
    }
    json_t *answer = NULL;
    if (model_stream_end(stream, &answer, &error) == MODEL_ANSWERED) {
        check_answer(answer);
        check_ended(answer, &shown);
    } else {
        check_error(&error);
    }
    buf_fini(&shown);
    json_decref(answer);
    model_stream_destroy(&stream);
    return 0;
}
