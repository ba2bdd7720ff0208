/* Completions in OpenAI's form: whole, and as a stream. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "services/sandbox/openai.h"

enum { ARGUMENT_PIECE = 4096, WORDS_PIECE = 24 };

void completion_fini(struct completion *completion)
{
    free(completion->text);
    json_decref(completion->calls);
    *completion = (struct completion){0};
}

static json_t *usage(const struct completion *completion)
{
    return json_pack("{s:I, s:I, s:I, s:{s:I, s:i}, s:{s:i}}", "prompt_tokens",
                     (json_int_t)completion->prompt_tokens, "completion_tokens",
                     (json_int_t)completion->completion_tokens, "total_tokens",
                     (json_int_t)completion->prompt_tokens + completion->completion_tokens,
                     "prompt_tokens_details", "cached_tokens",
                     (json_int_t)completion->cached_tokens, "audio_tokens", 0,
                     "completion_tokens_details", "reasoning_tokens", 0);
}

static void call_id(const struct completion *completion, size_t index, char id[96])
{
    snprintf(id, 96, "call_%.40s%zu", completion->id + strlen("chatcmpl-"), index);
}

static const char *finish_reason(const struct completion *completion)
{
    if (completion->finish)
        return completion->finish;
    return json_array_size(completion->calls) ? "tool_calls" : "stop";
}

json_t *completion_object(const struct completion *completion)
{
    size_t i;
    const json_t *call;
    char id[96];
    const char *text = completion->text;
    json_t *message =
        json_pack("{s:s, s:s?, s:s?}", "role", "assistant", "content",
                  completion->refusal ? NULL : text, "refusal", completion->refusal ? text : NULL);
    if (json_array_size(completion->calls)) {
        json_t *calls = json_array();
        json_array_foreach(completion->calls, i, call)
        {
            call_id(completion, i, id);
            json_array_append_new(calls, json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", id, "type",
                                                   "function", "function", "name",
                                                   js_str(call, "name", ""), "arguments",
                                                   js_str(call, "arguments", "{}")));
        }
        json_object_set_new(message, "tool_calls", calls);
    }
    return json_pack(
        "{s:s, s:s, s:I, s:s, s:[{s:i, s:o, s:n, s:s}], s:o*, s:s}", "id", completion->id, "object",
        "chat.completion", "created", (json_int_t)completion->created, "model", completion->model,
        "choices", "index", 0, "message", message, "logprobs", "finish_reason",
        finish_reason(completion), "usage", completion->no_usage ? NULL : usage(completion),
        "system_fingerprint", "fp_sandbox");
}

/* One event; consumes `choices` and `usage_value` (may be NULL). */
static void add_event(const struct completion *completion, json_t *choices, json_t *usage_value,
                      struct buf *out)
{
    json_t *chunk =
        json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", completion->id, "object",
                  "chat.completion.chunk", "created", (json_int_t)completion->created, "model",
                  completion->model, "system_fingerprint", "fp_sandbox", "choices", choices);
    if (completion->usage_chunk)
        json_object_set_new(chunk, "usage", usage_value ? usage_value : json_null());
    buf_add_str(out, "data: ");
    js_dump_buf(chunk, out);
    buf_add_str(out, "\n\n");
    json_decref(chunk);
}

static void add_delta(const struct completion *completion, json_t *delta, const char *finish,
                      struct buf *out)
{
    add_event(completion,
              json_pack("[{s:i, s:o, s:n, s:s?}]", "index", 0, "delta", delta, "logprobs",
                        "finish_reason", finish),
              NULL, out);
}

/* A piece of at most `max` bytes that ends at a character's border. */
static size_t piece_len(const char *text, size_t max)
{
    size_t len = strnlen(text, max + 1);
    if (len <= max)
        return len;
    len = max;
    while (len > 1 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static void add_text(const struct completion *completion, struct buf *out)
{
    const char *text = completion->text ? completion->text : "";
    while (*text) {
        size_t len = piece_len(text, WORDS_PIECE);
        add_delta(completion,
                  json_pack("{s:s%}", completion->refusal ? "refusal" : "content", text, len), NULL,
                  out);
        text += len;
    }
}

static void add_call(const struct completion *completion, size_t index, const json_t *call,
                     struct buf *out)
{
    char id[96];
    const char *text = js_str(call, "arguments", "{}");
    call_id(completion, index, id);
    add_delta(completion,
              json_pack("{s:[{s:i, s:s, s:s, s:{s:s, s:s}}]}", "tool_calls", "index", (int)index,
                        "id", id, "type", "function", "function", "name", js_str(call, "name", ""),
                        "arguments", ""),
              NULL, out);
    while (*text) {
        size_t len = piece_len(text, ARGUMENT_PIECE);
        /* Small ones in two pieces, as a client must join them. */
        len = strlen(text) == len && len > 8 ? piece_len(text, len / 2) : len;
        add_delta(completion,
                  json_pack("{s:[{s:i, s:{s:s%}}]}", "tool_calls", "index", (int)index, "function",
                            "arguments", text, len),
                  NULL, out);
        text += len;
    }
}

void completion_events(const struct completion *completion, struct buf *out)
{
    size_t i;
    const json_t *call;
    add_delta(completion,
              json_pack("{s:s, s:s?}", "role", "assistant", "content",
                        json_array_size(completion->calls) ? NULL : ""),
              NULL, out);
    add_text(completion, out);
    json_array_foreach(completion->calls, i, call) add_call(completion, i, call, out);
    add_delta(completion, json_object(), finish_reason(completion), out);
    if (completion->usage_chunk && !completion->no_usage)
        add_event(completion, json_array(), usage(completion), out);
    if (!completion->no_done)
        buf_add_str(out, "data: [DONE]\n\n");
}
