#include "services/worker/agent_context.h"

#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum {
    SHORT_MAX = 1024, /* bytes of a shortened text, without its marker */
    SHORT_TAIL = 256,
    FRESH_MIN = 256,
    ANSWER_SHARE = 8, /* of what the model reads: kept for its answer */
};

static const char removed[] = "[an earlier result, removed to make room]";
static const char turns_removed[] = "[Earlier steps of this task were removed to make room.]";

void agent_context_init(struct agent_context *context, json_t *messages, size_t task_at,
                        int64_t max_tokens, size_t max_bytes)
{
    *context = (struct agent_context){.messages = messages,
                                      .task_at = task_at,
                                      .fresh_at = task_at + 1,
                                      .max_bytes = max_bytes,
                                      .max_tokens = max_tokens - max_tokens / ANSWER_SHARE,
                                      .tokens_per_byte = 0.25};
}

void agent_context_fini(struct agent_context *context)
{
    json_decref(context->messages);
    context->messages = NULL;
}

int64_t agent_context_estimate(const struct agent_context *context, size_t bytes)
{
    return (int64_t)((double)bytes * context->tokens_per_byte) + 1;
}

static size_t size_of(const struct agent_context *context)
{
    return js_dump_size(context->messages) + context->extra;
}

int64_t agent_context_tokens(const struct agent_context *context)
{
    return agent_context_estimate(context, size_of(context));
}

void agent_context_learn(struct agent_context *context, int64_t input_tokens)
{
    if (input_tokens <= 0 || !context->sent)
        return;
    double ratio = (double)input_tokens / (double)context->sent;
    context->tokens_per_byte = ratio < 0.05 ? 0.05 : ratio > 1 ? 1 : ratio;
}

void agent_context_exceeded(struct agent_context *context)
{
    context->max_bytes = context->sent / 10 * 7;
}

/* The work of one fit: what is there now, and what it may be. */
struct fit {
    struct agent_context *context;
    size_t size, max;
};

static bool fits(const struct fit *fit)
{
    return fit->size <= fit->max;
}

static void replace(struct fit *fit, json_t *message, const char *key, json_t *value)
{
    size_t before = js_dump_size(message);
    json_object_set_new(message, key, value);
    size_t after = js_dump_size(message);
    fit->size = after > before ? fit->size + (after - before) : fit->size - (before - after);
}

/* Head and tail of a text, and in between how much is missing. */
static json_t *shortened(const char *text, size_t len, size_t max)
{
    size_t tail = max / 4 > SHORT_TAIL ? SHORT_TAIL : max / 4, head = max - tail;
    AUTOJSON json_t *begin = js_string_capped(text, len, head, "");
    while ((text[len - tail] & 0xc0) == 0x80) /* the middle of a character */
        tail--;
    AUTOFREE char *whole = mem_printf("%s\n[… %zu bytes were removed here to make room …]\n%s",
                                      json_string_value(begin),
                                      len - tail - json_string_length(begin), text + len - tail);
    return json_string(whole);
}

static void shorten(struct fit *fit, json_t *message, size_t max)
{
    json_t *content = json_object_get(message, "content");
    size_t len = json_string_length(content);
    if (len > max + 128) /* else its marker would make it no shorter */
        replace(fit, message, "content", shortened(json_string_value(content), len, max));
}

static bool has_role(const json_t *message, const char *role)
{
    return strcmp(js_str(message, "role", ""), role) == 0;
}

static void shorten_old_results(struct fit *fit)
{
    struct agent_context *context = fit->context;
    for (size_t i = context->task_at + 1; i < context->fresh_at && !fits(fit); i++)
        if (has_role(json_array_get(context->messages, i), "tool"))
            shorten(fit, json_array_get(context->messages, i), SHORT_MAX);
}

static void remove_old_results(struct fit *fit)
{
    struct agent_context *context = fit->context;
    for (size_t i = context->task_at + 1; i < context->fresh_at && !fits(fit); i++) {
        json_t *message = json_array_get(context->messages, i);
        if (has_role(message, "tool") &&
            json_string_length(json_object_get(message, "content")) > sizeof removed)
            replace(fit, message, "content", json_string(removed));
    }
}

static void remove_at(struct fit *fit, size_t index)
{
    struct agent_context *context = fit->context;
    fit->size -= js_dump_size(json_array_get(context->messages, index)) + 1;
    json_array_remove(context->messages, index);
    if (index < context->task_at)
        context->task_at--;
    if (index < context->fresh_at)
        context->fresh_at--;
}

/* A question and its answer go together. */
static void remove_earlier_turns(struct fit *fit)
{
    struct agent_context *context = fit->context;
    while (context->task_at > 1 && !fits(fit)) {
        remove_at(fit, 1);
        while (context->task_at > 1 && !has_role(json_array_get(context->messages, 1), "user"))
            remove_at(fit, 1);
    }
}

/* Arguments stay a JSON object: many endpoints read them. */
static void shorten_arguments(struct fit *fit, json_t *message)
{
    size_t index;
    json_t *call;
    json_array_foreach(json_object_get(message, "tool_calls"), index, call)
    {
        json_t *function = json_object_get(call, "function");
        const char *text = js_str(function, "arguments", "");
        if (strlen(text) <= SHORT_MAX + 256)
            continue;
        AUTOJSON json_t *kept =
            json_pack("{s:o}", "shortened", shortened(text, strlen(text), SHORT_MAX / 2));
        AUTOFREE char *dump = js_dump(kept);
        replace(fit, function, "arguments", json_string(dump));
    }
}

static void shorten_old_answers(struct fit *fit)
{
    struct agent_context *context = fit->context;
    for (size_t i = context->task_at + 1; i < context->fresh_at && !fits(fit); i++) {
        json_t *message = json_array_get(context->messages, i);
        if (!has_role(message, "assistant"))
            continue;
        shorten(fit, message, SHORT_MAX);
        shorten_arguments(fit, message);
    }
}

static void shorten_fresh(struct fit *fit)
{
    struct agent_context *context = fit->context;
    size_t count = json_array_size(context->messages);
    for (size_t max = 32 << 10; max >= FRESH_MIN && !fits(fit); max /= 2)
        for (size_t i = context->fresh_at; i < count && !fits(fit); i++) {
            json_t *message = json_array_get(context->messages, i);
            if (i == context->task_at)
                continue;
            shorten(fit, message, max);
            shorten_arguments(fit, message);
        }
}

static void mark_removed_turns(struct fit *fit)
{
    json_t *message = json_array_get(fit->context->messages, fit->context->task_at + 1);
    const char *text = js_str(message, "content", "");
    if (!has_role(message, "assistant") ||
        strncmp(text, turns_removed, sizeof turns_removed - 1) == 0)
        return;
    AUTOFREE char *marked = mem_printf("%s%s%s", turns_removed, *text ? "\n" : "", text);
    replace(fit, message, "content", json_string(marked));
}

static void remove_old_turns(struct fit *fit)
{
    struct agent_context *context = fit->context;
    size_t first = context->task_at + 1;
    while (first < context->fresh_at && !fits(fit)) {
        remove_at(fit, first);
        while (first < context->fresh_at &&
               has_role(json_array_get(context->messages, first), "tool"))
            remove_at(fit, first);
        mark_removed_turns(fit);
    }
}

bool agent_context_fit(struct agent_context *context)
{
    static void (*const steps[])(struct fit *) = {shorten_old_results,  remove_old_results,
                                                  remove_earlier_turns, shorten_old_answers,
                                                  shorten_fresh,        remove_old_turns};
    double max = (double)context->max_tokens / context->tokens_per_byte;
    struct fit fit = {context, size_of(context), context->max_bytes};
    if (max < (double)fit.max)
        fit.max = (size_t)max;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && !fits(&fit); i++)
        steps[i](&fit);
    context->sent = fit.size;
    return fits(&fit);
}
