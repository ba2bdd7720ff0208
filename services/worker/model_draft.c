#include "services/worker/model_draft.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/buf.h"
#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/model_usage.h"

enum {
    ID_MAX = 512,         /* as it may come */
    ID_SENT_MAX = 40,     /* as it may be sent back */
    NAME_MAX_BYTES = 256, /* as it may come */
    NAME_SENT_MAX = 64,   /* as it may be sent back */
    REFUSAL_MAX = 64 << 10,
    EXTRA_MAX = 16 << 10,
};

struct draft_call {
    int64_t index; /* of the stream; −1: none given */
    char id[ID_MAX + 1], name[NAME_MAX_BYTES + 1];
    struct buf arguments;
    json_t *extra;
};

struct model_draft {
    struct buf text, refusal;
    struct draft_call *calls[MODEL_CALLS_MAX];
    size_t count, argument_bytes, extra_bytes;
    char finish[64], model[MODEL_NAME_MAX + 1];
    json_t *usage;
    bool begun;
    enum { TEXT_BEGINS, TEXT_THINKS, TEXT_HAS_THOUGHT, TEXT_ANSWERS } phase; /* as it is shown */
    size_t shown_from; /* bytes of the text that are not, so far */
};

struct model_draft *model_draft_new(void)
{
    struct model_draft *draft = mem_alloc(sizeof *draft);
    buf_init(&draft->text, MODEL_TEXT_MAX);
    buf_init(&draft->refusal, REFUSAL_MAX);
    return draft;
}

void model_draft_destroy(struct model_draft **draft_p)
{
    struct model_draft *draft = *draft_p;
    if (!draft)
        return;
    *draft_p = NULL;
    for (size_t i = 0; i < draft->count; i++) {
        buf_fini(&draft->calls[i]->arguments);
        json_decref(draft->calls[i]->extra);
        free(draft->calls[i]);
    }
    buf_fini(&draft->text);
    buf_fini(&draft->refusal);
    json_decref(draft->usage);
    free(draft);
}

static enum err refuse(char *ret_why, enum err err, const char *why)
{
    snprintf(ret_why, MODEL_WHY_SIZE, "%s", why);
    return err;
}

/* A text, or a list of parts as some endpoints give it; their thoughts are no text. */
static void add_text(struct buf *text, const json_t *content)
{
    size_t index;
    json_t *part;
    if (json_is_string(content))
        buf_add(text, json_string_value(content), json_string_length(content));
    json_array_foreach(content, index, part)
    {
        const char *type = js_str(part, "type", "text");
        if (json_is_string(part))
            buf_add_str(text, json_string_value(part));
        else if (strcmp(type, "text") == 0 || strcmp(type, "output_text") == 0)
            buf_add_str(text, js_str(part, "text", ""));
    }
}

static struct draft_call *new_call(struct model_draft *draft, int64_t index)
{
    if (draft->count == MODEL_CALLS_MAX)
        return NULL;
    struct draft_call *call = mem_alloc(sizeof *call);
    call->index = index;
    buf_init(&call->arguments, MODEL_ARGUMENTS_MAX);
    draft->calls[draft->count++] = call;
    return call;
}

/* Which call a piece belongs to: by index; where that is missing, or one for all (Gemini), by id.
 */
static struct draft_call *call_of(struct model_draft *draft, const json_t *piece, const char *id)
{
    int64_t index = js_int(piece, "index", -1);
    struct draft_call *last = draft->count ? draft->calls[draft->count - 1] : NULL;
    for (size_t i = draft->count; i-- > 0;) {
        struct draft_call *call = draft->calls[i];
        bool same_id = !*id || !*call->id || strcmp(id, call->id) == 0;
        if (index >= 0 ? call->index == index && same_id : *id && strcmp(id, call->id) == 0)
            return call;
    }
    if (index < 0 && !*id && last && !*js_str(json_object_get(piece, "function"), "name", ""))
        return last;
    return new_call(draft, index < 0 ? -1 : index);
}

/* Some endpoints repeat the name in each piece. */
static bool add_name(struct draft_call *call, const char *name)
{
    size_t have = strlen(call->name), more = strlen(name);
    if (strcmp(call->name, name) == 0)
        return true;
    if (have + more > NAME_MAX_BYTES)
        return false;
    memcpy(call->name + have, name, more + 1);
    return true;
}

static bool add_arguments(struct model_draft *draft, struct draft_call *call,
                          const json_t *arguments)
{
    size_t before = call->arguments.len;
    if (json_is_string(arguments))
        buf_add(&call->arguments, json_string_value(arguments), json_string_length(arguments));
    else if (json_is_object(arguments))
        js_dump_buf(arguments, &call->arguments);
    else if (arguments && !json_is_null(arguments))
        return false;
    draft->argument_bytes += call->arguments.len - before;
    return !call->arguments.full && draft->argument_bytes <= MODEL_ARGUMENTS_MAX;
}

/* Gemini signs its thoughts there, and wants the signature back with the call. */
static bool add_extra(struct model_draft *draft, struct draft_call *call, json_t *extra)
{
    if (!json_is_object(extra))
        return true;
    draft->extra_bytes += js_dump_size(extra);
    json_decref(call->extra);
    call->extra = json_incref(extra);
    return draft->extra_bytes <= EXTRA_MAX;
}

static enum err add_call(struct model_draft *draft, const json_t *piece, bool whole, char *ret_why)
{
    json_t *function = json_object_get(piece, "function");
    const char *id = js_str(piece, "id", "");
    if (!json_is_object(piece) || strlen(id) > ID_MAX)
        return refuse(ret_why, ERR_INVALID, "a malformed tool call");
    struct draft_call *call = whole ? new_call(draft, -1) : call_of(draft, piece, id);
    if (!call)
        return refuse(ret_why, ERR_TOO_LARGE, "more than 64 tool calls at once");
    if (*id)
        snprintf(call->id, sizeof call->id, "%s", id);
    if (!add_name(call, js_str(function, "name", "")))
        return refuse(ret_why, ERR_INVALID, "the name of a tool is too long");
    if (!add_arguments(draft, call, json_object_get(function, "arguments")))
        return refuse(ret_why, ERR_INVALID,
                      "the arguments of a tool call are malformed or too long");
    if (!add_extra(draft, call, json_object_get(piece, "extra_content")))
        return refuse(ret_why, ERR_TOO_LARGE, "a tool call carries too much beside it");
    return ERR_OK;
}

static enum err add_calls(struct model_draft *draft, const json_t *message, bool whole,
                          char *ret_why)
{
    const json_t *calls = json_object_get(message, "tool_calls");
    json_t *old = json_object_get(message, "function_call"), *piece;
    size_t index;
    if (calls && !json_is_array(calls) && !json_is_null(calls))
        return refuse(ret_why, ERR_INVALID, "tool_calls is not an array");
    json_array_foreach(calls, index, piece)
    {
        enum err err = add_call(draft, piece, whole, ret_why);
        if (err)
            return err;
    }
    if (!json_is_object(old) || json_array_size(calls))
        return ERR_OK;
    AUTOJSON json_t *wrapped = json_pack("{s:i, s:O}", "index", 0, "function", old);
    return add_call(draft, wrapped, whole, ret_why);
}

static enum err add_choice(struct model_draft *draft, const json_t *choice, char *ret_why)
{
    const json_t *delta = json_object_get(choice, "delta");
    const json_t *message = json_object_get(choice, "message");
    bool whole = json_is_object(message) && !json_is_object(delta);
    const char *finish = js_str(choice, "finish_reason", "");
    if (whole)
        delta = message;
    if (*finish)
        snprintf(draft->finish, sizeof draft->finish, "%s", finish);
    draft->begun = draft->begun || json_is_object(delta) || *finish;
    add_text(&draft->text, json_object_get(delta, "content"));
    add_text(&draft->refusal, json_object_get(delta, "refusal"));
    if (draft->text.full || draft->refusal.full)
        return refuse(ret_why, ERR_TOO_LARGE, "its text is too long");
    return add_calls(draft, delta, whole, ret_why);
}

static void add_usage(struct model_draft *draft, const json_t *json)
{
    json_t *usage = json_object_get(json, "usage");
    if (!json_is_object(usage))
        usage = json_object_get(json_object_get(json, "x_groq"), "usage");
    json_t *read = model_usage_read(usage);
    if (!read)
        return;
    json_decref(draft->usage);
    draft->usage = read;
}

enum err model_draft_add(struct model_draft *draft, const json_t *json,
                         char ret_why[MODEL_WHY_SIZE])
{
    const json_t *choices = json_object_get(json, "choices");
    size_t index;
    json_t *choice;
    const char *model = js_str(json, "model", "");
    if (!json_is_object(json))
        return refuse(ret_why, ERR_INVALID, "it is not a JSON object");
    if (choices && !json_is_array(choices) && !json_is_null(choices))
        return refuse(ret_why, ERR_INVALID, "choices is not an array");
    if (*model && strlen(model) <= MODEL_NAME_MAX)
        snprintf(draft->model, sizeof draft->model, "%s", model);
    add_usage(draft, json);
    json_array_foreach(choices, index, choice)
    {
        if (js_int(choice, "index", 0) != 0)
            continue; /* one was asked for */
        enum err err = add_choice(draft, choice, ret_why);
        if (err)
            return err;
    }
    return ERR_OK;
}

bool model_draft_finished(const struct model_draft *draft)
{
    return *draft->finish;
}

bool model_draft_begun(const struct model_draft *draft)
{
    return draft->begun;
}

void model_new_call_id(char ret_id[10])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    uint64_t number = crypto_random_u64();
    for (int i = 0; i < 9; i++, number /= 36)
        ret_id[i] = digits[number % 36];
    ret_id[9] = '\0';
}

/* Some leave ids out or use one twice, or have some that are longer than OpenAI takes; the
 * conversation needs distinct ones. */
static void fix_id(const struct model_draft *draft, size_t index)
{
    struct draft_call *call = draft->calls[index];
    bool taken = !*call->id || strlen(call->id) > ID_SENT_MAX;
    for (size_t i = 0; i < index && !taken; i++)
        taken = strcmp(draft->calls[i]->id, call->id) == 0;
    if (taken)
        model_new_call_id(call->id);
}

/* Models invent names; one that OpenAI's rules forbid would spoil the conversation that it is sent
 * back in. A legal one that no tool has does not. */
static void legal_name(const char *name, char ret_name[NAME_SENT_MAX + 1])
{
    static const char space[] = "functions.";
    if (strncmp(name, space, sizeof space - 1) == 0 && name[sizeof space - 1])
        name += sizeof space - 1;
    size_t len = strnlen(name, NAME_SENT_MAX);
    for (size_t i = 0; i < len; i++)
        ret_name[i] = isalnum((unsigned char)name[i]) || name[i] == '-' ? name[i] : '_';
    ret_name[len] = '\0';
}

static json_t *call_json(const struct draft_call *call)
{
    char name[NAME_SENT_MAX + 1];
    legal_name(call->name, name);
    const char *arguments = call->arguments.len ? buf_text(&call->arguments) : "{}";
    json_t *json = json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", call->id, "type", "function",
                             "function", "name", name, "arguments", arguments);
    if (call->extra)
        json_object_set(json, "extra_content", call->extra);
    return json;
}

/* A reasoning model behind an endpoint that leaves the thoughts in the text. */
static const char *behind_thoughts(const char *text)
{
    const char *start = text + strspn(text, " \t\r\n"), *end = strstr(start, "</think>");
    if (strncmp(start, "<think>", 7) != 0 || !end)
        return text;
    end += strlen("</think>");
    return end + strspn(end, " \t\r\n");
}

static void skip_blanks(struct model_draft *draft)
{
    draft->shown_from += strspn(buf_text(&draft->text) + draft->shown_from, " \t\r\n");
}

static void look_for_thoughts(struct model_draft *draft)
{
    static const char mark[] = "<think>";
    skip_blanks(draft);
    const char *start = buf_text(&draft->text) + draft->shown_from;
    size_t len = strnlen(start, sizeof mark - 1);
    if (strncmp(start, mark, len) != 0) {
        draft->phase = TEXT_ANSWERS;
        draft->shown_from = 0;
    } else if (len == sizeof mark - 1) {
        draft->phase = TEXT_THINKS;
    }
}

static void look_for_their_end(struct model_draft *draft)
{
    static const char mark[] = "</think>";
    const char *text = buf_text(&draft->text), *end = strstr(text + draft->shown_from, mark);
    if (end) {
        draft->phase = TEXT_HAS_THOUGHT;
        draft->shown_from = (size_t)(end - text) + sizeof mark - 1;
    } else if (draft->text.len > draft->shown_from + sizeof mark) {
        draft->shown_from = draft->text.len - sizeof mark;
    }
}

/* What behind_thoughts says, without reading any of the text twice. */
const char *model_draft_text(struct model_draft *draft, size_t *ret_len)
{
    if (draft->phase == TEXT_BEGINS)
        look_for_thoughts(draft);
    if (draft->phase == TEXT_THINKS)
        look_for_their_end(draft);
    if (draft->phase == TEXT_HAS_THOUGHT) {
        skip_blanks(draft);
        if (draft->shown_from < draft->text.len)
            draft->phase = TEXT_ANSWERS;
    }
    if (draft->phase != TEXT_ANSWERS) {
        *ret_len = 0;
        return "";
    }
    *ret_len = draft->text.len - draft->shown_from;
    return buf_text(&draft->text) + draft->shown_from;
}

static json_t *message_json(struct model_draft *draft)
{
    const char *text = behind_thoughts(buf_text(&draft->text)),
               *refusal = buf_text(&draft->refusal);
    if (!*text)
        text = refusal;
    json_t *message = json_pack("{s:s, s:s?}", "role", "assistant", "content", *text ? text : NULL);
    if (*refusal)
        json_object_set_new(message, "refusal", json_string(refusal));
    if (!draft->count)
        return message;
    json_t *calls = json_array();
    for (size_t i = 0; i < draft->count; i++) {
        fix_id(draft, i);
        json_array_append_new(calls, call_json(draft->calls[i]));
    }
    json_object_set_new(message, "tool_calls", calls);
    return message;
}

/* Every endpoint has words of its own; a run knows OpenAI's. */
static const char *finish_reason(const struct model_draft *draft)
{
    static const struct {
        const char *word, *means;
    } words[] = {
        {"length", "length"},
        {"max_tokens", "length"},
        {"model_length", "length"},
        {"model_context_window_exceeded", "length"},
        {"content_filter", "content_filter"},
        {"safety", "content_filter"},
        {"refusal", "content_filter"},
        {"recitation", "content_filter"},
        {"sensitive", "content_filter"},
        {"error", "error"},
        {"abort", "error"},
        {"insufficient_system_resource", "error"},
        {"malformed_function_call", "error"},
        {"network_error", "error"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(draft->finish, words[i].word) == 0)
            return words[i].means;
    if (strncmp(draft->finish, "content_filter", strlen("content_filter")) == 0)
        return "content_filter"; /* Gemini adds what filtered */
    return draft->count ? "tool_calls" : "stop";
}

enum err model_draft_end(struct model_draft *draft, json_t **ret_answer,
                         char ret_why[MODEL_WHY_SIZE])
{
    if (!draft->begun)
        return refuse(ret_why, ERR_INVALID, "it has no choices[0].message");
    for (size_t i = 0; i < draft->count; i++)
        if (!*draft->calls[i]->name)
            return refuse(ret_why, ERR_INVALID, "a tool call without a name");
    json_t *answer = json_pack("{s:o, s:s}", "message", message_json(draft), "finish_reason",
                               finish_reason(draft));
    if (draft->usage)
        json_object_set(answer, "usage", draft->usage);
    if (*draft->model)
        json_object_set_new(answer, "model", json_string(draft->model));
    if (js_dump_size(answer) > MODEL_ANSWER_JSON_MAX) {
        json_decref(answer);
        return refuse(ret_why, ERR_TOO_LARGE, "it is too long");
    }
    *ret_answer = answer;
    return ERR_OK;
}
