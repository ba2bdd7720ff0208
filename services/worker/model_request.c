#include "services/worker/model_request.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/js_write.h"
#include "libcommon/mem.h"

enum {
    HEAD_MAX = 2048, /* what varies, before the conversation */
    BODY_MAX = 32 << 20,
    TOKENS_MAX = 100000000,
    INVALID_SHOWN_MAX = 2048,
    IDS_MAX = 1 << 16,
};

struct model_request {
    char *text; /* room for the head, then the conversation and the tools */
    size_t len;
    char *model;
    const char *temperature; /* borrowed; NULL: the model's own */
    int64_t tokens_max;      /* of the answer; 0: the model's own */
    bool stream, no_calls;
    uint64_t *ids; /* hashes of the tool calls' */
    size_t id_count;
};

static uint64_t hash(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return hash;
}

static bool is_object_text(const char *text)
{
    AUTOJSON json_t *json = NULL;
    return js_parse(text, strlen(text), &json, NULL) == ERR_OK && json_is_object(json);
}

/* Endpoints that render the conversation themselves (vLLM, Ollama, Gemini, Anthropic) refuse one in
 * which a call's arguments are no JSON object, though a model wrote them. */
static json_t *with_legal_arguments(const json_t *message)
{
    json_t *copy = NULL, *call;
    size_t index;
    json_array_foreach(json_object_get(message, "tool_calls"), index, call)
    {
        const char *text = js_str(json_object_get(call, "function"), "arguments", "");
        if (is_object_text(text))
            continue;
        if (!copy)
            copy = json_deep_copy(message);
        AUTOJSON json_t *shown = json_object();
        if (*text)
            json_object_set_new(shown, "invalid_arguments",
                                js_string_capped(text, strlen(text), INVALID_SHOWN_MAX, "…"));
        AUTOFREE char *legal = js_dump(shown);
        json_t *to = json_array_get(json_object_get(copy, "tool_calls"), index);
        json_object_set_new(json_object_get(to, "function"), "arguments", json_string(legal));
    }
    return copy;
}

static void note_ids(struct model_request *request, const json_t *message)
{
    const json_t *calls = json_object_get(message, "tool_calls");
    size_t index, count = json_array_size(calls);
    json_t *call;
    if (!count || request->id_count + count > IDS_MAX)
        return;
    request->ids = mem_resize(request->ids, (request->id_count + count) * sizeof *request->ids);
    json_array_foreach(calls, index, call) request->ids[request->id_count++] =
        hash(js_str(call, "id", ""));
}

static void add_messages(struct model_request *request, const json_t *messages, struct buf *out)
{
    size_t index;
    json_t *message;
    buf_add_str(out, "\"messages\":[");
    json_array_foreach(messages, index, message)
    {
        AUTOJSON json_t *legal = with_legal_arguments(message);
        note_ids(request, message);
        if (index)
            buf_add_char(out, ',');
        js_dump_buf(legal ? legal : message, out);
    }
    buf_add_char(out, ']');
}

static int64_t lower(int64_t a, int64_t b)
{
    return a > 0 && (b <= 0 || a < b) ? a : b > 0 ? b : 0;
}

struct model_request *model_request_new(const struct settings *settings, const json_t *ask)
{
    struct model_request *request = mem_alloc(sizeof *request);
    const json_t *tools = json_object_get(ask, "tools");
    const char *model = js_str(ask, "model", "");
    struct buf text;
    int64_t asked = js_int(ask, "max_completion_tokens", 0);
    request->model =
        mem_strdup(*model && strlen(model) <= MODEL_NAME_MAX ? model : settings->openai_model);
    request->temperature = settings->model_temperature;
    request->tokens_max = lower(asked < TOKENS_MAX ? asked : 0, settings->model_max_tokens);
    request->stream = strcmp(settings->model_stream, "off") != 0;
    request->no_calls =
        json_array_size(tools) && strcmp(js_str(ask, "tool_choice", ""), "none") == 0;
    buf_init(&text, BODY_MAX);
    char *room = buf_reserve(&text, HEAD_MAX);
    if (room)
        memset(room, ' ', HEAD_MAX), text.len += HEAD_MAX;
    add_messages(request, json_object_get(ask, "messages"), &text);
    if (json_array_size(tools)) {
        buf_add_str(&text, ",\"tools\":");
        js_dump_buf(tools, &text);
    }
    buf_add_char(&text, '}');
    request->len = text.len;
    /* It waits for long: without the room that it grew in. */
    request->text = mem_resize(buf_steal(&text), request->len + 1);
    return request;
}

void model_request_destroy(struct model_request **request_p)
{
    struct model_request *request = *request_p;
    if (!request)
        return;
    *request_p = NULL;
    free(request->text);
    free(request->model);
    free(request->ids);
    free(request);
}

const char *model_request_model(const struct model_request *request)
{
    return request->model;
}

static void write_head(const struct model_request *request, bool new_limit, unsigned lacks,
                       struct buf *out)
{
    bool stream = request->stream && !(lacks & MODEL_LACKS_STREAM);
    buf_add_char(out, '{');
    js_add_member(out, "model", request->model);
    buf_add_str(out, stream ? ",\"stream\":true," : ",\"stream\":false,");
    if (stream && !(lacks & MODEL_LACKS_STREAM_OPTIONS))
        buf_add_str(out, "\"stream_options\":{\"include_usage\":true},");
    if (request->tokens_max)
        buf_printf(out, "\"%s\":%lld,", new_limit ? "max_completion_tokens" : "max_tokens",
                   (long long)request->tokens_max);
    if (request->temperature && !(lacks & MODEL_LACKS_TEMPERATURE))
        buf_printf(out, "\"temperature\":%s,", request->temperature);
    if (request->no_calls)
        buf_add_str(out, "\"tool_choice\":\"none\",");
}

const char *model_request_body(struct model_request *request, const struct model_endpoint *endpoint,
                               unsigned lacks, size_t *ret_len)
{
    struct buf head;
    buf_init(&head, HEAD_MAX);
    write_head(request, endpoint->new_limit != !!(lacks & MODEL_LACKS_LIMIT_NAME), lacks, &head);
    char *start = request->text + HEAD_MAX - head.len;
    memcpy(start, buf_text(&head), head.len);
    *ret_len = request->len - HEAD_MAX + head.len;
    buf_fini(&head);
    return start;
}

static bool has_id(const struct model_request *request, const char *id)
{
    uint64_t wanted = hash(id);
    for (size_t i = 0; i < request->id_count; i++)
        if (request->ids[i] == wanted)
            return true;
    return false;
}

void model_request_new_ids(const struct model_request *request, json_t *answer)
{
    size_t index;
    json_t *call;
    json_array_foreach(json_object_get(json_object_get(answer, "message"), "tool_calls"), index,
                       call)
    {
        char id[10];
        if (!has_id(request, js_str(call, "id", "")))
            continue;
        model_new_call_id(id);
        json_object_set_new(call, "id", json_string(id));
    }
}
