#include "services/worker/model_stream.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/sse.h"

enum form { FORM_UNKNOWN, FORM_EVENTS, FORM_JSON };

struct model_stream {
    const char *key;
    enum form form;
    struct sse *sse;
    struct buf body;
    struct model_draft *draft;
    bool done, broken, refused;
    struct model_error error; /* when broken: `why`; when refused: all of it */
};

static bool on_event(void *arg, const struct sse_event *event);

struct model_stream *model_stream_new(const char *key)
{
    struct model_stream *stream = mem_alloc(sizeof *stream);
    stream->key = key;
    stream->draft = model_draft_new();
    stream->error.retry_after_ms = -1;
    buf_init(&stream->body, MODEL_BODY_MAX);
    return stream;
}

void model_stream_destroy(struct model_stream **stream_p)
{
    struct model_stream *stream = *stream_p;
    if (!stream)
        return;
    *stream_p = NULL;
    sse_destroy(&stream->sse);
    model_draft_destroy(&stream->draft);
    buf_fini(&stream->body);
    free(stream);
}

static bool break_off(struct model_stream *stream, const char *why)
{
    stream->broken = true;
    snprintf(stream->error.why, sizeof stream->error.why, "%s", why);
    return false;
}

/* False: nothing more is of use. */
static bool add_json(struct model_stream *stream, const char *text, size_t len)
{
    AUTOJSON json_t *json = NULL;
    char why[MODEL_WHY_SIZE];
    if (js_has_more_values(text, len, MODEL_VALUES_MAX))
        return break_off(stream, "it holds too many values");
    if (js_parse(text, len, &json, NULL))
        return break_off(stream, "it is not JSON");
    if (model_error_inside(json, stream->key, &stream->error)) {
        stream->refused = true;
        return false;
    }
    return model_draft_add(stream->draft, json, why) ? break_off(stream, why) : true;
}

static bool on_event(void *arg, const struct sse_event *event)
{
    struct model_stream *stream = arg;
    if (stream->done || event->len == 0)
        return true;
    if (strncmp(event->data, "[DONE]", 6) == 0) {
        stream->done = true;
        return true;
    }
    return add_json(stream, event->data, event->len);
}

static bool feed_events(struct model_stream *stream, const char *data, size_t len)
{
    if (!stream->sse)
        stream->sse = sse_new(MODEL_EVENT_MAX, on_event, stream);
    enum err err = sse_feed(stream->sse, data, len);
    if (err && !stream->broken && !stream->refused)
        break_off(stream, "an event of its stream is too long");
    return !err;
}

static bool feed_json(struct model_stream *stream, const char *data, size_t len)
{
    buf_add(&stream->body, data, len);
    return stream->body.full ? break_off(stream, "it is too long") : true;
}

bool model_stream_feed(struct model_stream *stream, const char *data, size_t len)
{
    while (stream->form == FORM_UNKNOWN && len) {
        if (!strchr(" \t\r\n", *data))
            stream->form = *data == '{' || *data == '[' || *data == '<' ? FORM_JSON : FORM_EVENTS;
        else
            data++, len--;
    }
    if (stream->broken || stream->refused)
        return false;
    return !len                          ? true
           : stream->form == FORM_EVENTS ? feed_events(stream, data, len)
                                         : feed_json(stream, data, len);
}

enum model_stream_state model_stream_state(const struct model_stream *stream)
{
    return stream->done                          ? MODEL_STREAM_DONE
           : model_draft_finished(stream->draft) ? MODEL_STREAM_FINISHED
                                                 : MODEL_STREAM_OPEN;
}

const char *model_stream_text(struct model_stream *stream, size_t *ret_len)
{
    return model_draft_text(stream->draft, ret_len);
}

bool model_stream_is_events(const struct model_stream *stream)
{
    return stream->form == FORM_EVENTS;
}

static enum model_verdict answer(struct model_stream *stream, json_t **ret_answer,
                                 struct model_error *error)
{
    json_t *json = NULL;
    if (model_draft_end(stream->draft, &json, error->why))
        return MODEL_MALFORMED;
    if (strcmp(js_str(json, "finish_reason", ""), "error") == 0) {
        json_decref(json);
        snprintf(error->why, sizeof error->why, "the model ended with an error");
        error->status = 500;
        return MODEL_REFUSED;
    }
    *ret_answer = json;
    return MODEL_ANSWERED;
}

static enum model_verdict verdict(struct model_stream *stream, json_t **ret_answer)
{
    struct model_error *error = &stream->error;
    if (stream->form == FORM_JSON && !stream->broken)
        add_json(stream, buf_text(&stream->body), stream->body.len);
    if (stream->refused)
        return MODEL_REFUSED;
    if (stream->broken)
        return MODEL_MALFORMED;
    if (stream->form != FORM_JSON && model_stream_state(stream) == MODEL_STREAM_OPEN) {
        snprintf(error->why, sizeof error->why, "it ended before its end");
        return MODEL_CUT;
    }
    return answer(stream, ret_answer, error);
}

enum model_verdict model_stream_end(struct model_stream *stream, json_t **ret_answer,
                                    struct model_error *ret_error)
{
    enum model_verdict what = verdict(stream, ret_answer);
    if (what != MODEL_ANSWERED)
        *ret_error = stream->error;
    return what;
}
