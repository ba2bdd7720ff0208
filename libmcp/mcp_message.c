#include "libmcp/mcp_message.h"

#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

static bool is_id(const json_t *id)
{
    return json_is_string(id) || json_is_integer(id);
}

static enum err classify(json_t *json, struct mcp_message *message)
{
    json_t *method = json_object_get(json, "method");
    json_t *id = json_object_get(json, "id");
    if (method) {
        if (!json_is_string(method) || (id && !is_id(id)))
            return ERR_INVALID;
        message->kind = id ? MCP_REQUEST : MCP_NOTIFICATION;
        message->request_id = id;
        message->method = json_string_value(method);
        message->body = json_object_get(json, "params");
        return ERR_OK;
    }
    json_t *result = json_object_get(json, "result"), *error = json_object_get(json, "error");
    if (!json_is_integer(id) || !json_is_object(result ? result : error))
        return ERR_INVALID;
    message->kind = result ? MCP_RESULT : MCP_ERROR;
    message->id = json_integer_value(id);
    message->body = result ? result : error;
    return ERR_OK;
}

enum err mcp_message_parse(const char *line, size_t len, struct mcp_message *ret_message)
{
    json_t *json;
    if (len > MCP_LINE_MAX || js_parse(line, len, &json, NULL))
        return ERR_INVALID;
    struct mcp_message message = {.json = json};
    if (!json_is_object(json) || classify(json, &message)) {
        json_decref(json);
        return ERR_INVALID;
    }
    *ret_message = message;
    return ERR_OK;
}

static void add_resource(struct buf *out, const json_t *resource)
{
    const char *text = js_str(resource, "text", NULL);
    if (text)
        buf_add_str(out, text);
    else
        buf_printf(out, "[resource %s, %s]", js_str(resource, "uri", "without a URI"),
                   js_str(resource, "mimeType", "of unknown type"));
}

static void add_block(struct buf *out, const json_t *block)
{
    const char *type = js_str(block, "type", "");
    if (out->len)
        buf_add_char(out, '\n');
    if (strcmp(type, "text") == 0)
        buf_add_str(out, js_str(block, "text", ""));
    else if (strcmp(type, "resource") == 0)
        add_resource(out, json_object_get(block, "resource"));
    else if (strcmp(type, "resource_link") == 0)
        buf_printf(out, "[link to %s: %s]", js_str(block, "name", "a resource"),
                   js_str(block, "uri", "without a URI"));
    else
        buf_printf(out, "[%.32s content, %.100s, not shown]", *type ? type : "unknown",
                   js_str(block, "mimeType", "of unknown type"));
}

char *mcp_result_text(const json_t *result, size_t max, bool *ret_is_error)
{
    struct buf text;
    buf_init(&text, (size_t)MCP_LINE_MAX * 2);
    size_t index;
    json_t *block;
    json_array_foreach(json_object_get(result, "content"), index, block) add_block(&text, block);
    json_t *structured = json_object_get(result, "structuredContent");
    if (!text.len && structured)
        js_dump_buf(structured, &text);
    json_t *capped =
        js_string_capped(buf_text(&text), text.len, max, "\n[cut: the result is longer]");
    char *copy = mem_strdup(json_string_value(capped));
    json_decref(capped);
    buf_fini(&text);
    *ret_is_error = js_bool(result, "isError", false);
    return copy;
}
