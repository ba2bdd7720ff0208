#include "libmcp/mcp_content.h"

#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_message.h"

enum { LABEL_MAX = 256, URI_MAX = 2048, SAME_JSON_MAX = 256 << 10 };

static void add_capped(struct buf *out, const char *text, size_t max)
{
    AUTOJSON json_t *capped = js_string_capped(text, strlen(text), max, "…");
    buf_add_str(out, json_string_value(capped));
}

static void add_label(struct buf *out, const json_t *object, const char *key, const char *before,
                      size_t max)
{
    const char *text = js_str(object, key, "");
    if (!*text)
        return;
    buf_add_str(out, before);
    add_capped(out, text, max);
}

static char *capped_copy(struct buf *text, size_t max)
{
    AUTOJSON json_t *capped =
        js_string_capped(buf_text(text), text->len, max, "\n[cut: the result is longer]");
    buf_fini(text);
    return mem_strdup(json_string_value(capped));
}

static size_t base64_bytes(const json_t *object, const char *key)
{
    const char *text = js_str(object, key, "");
    size_t len = strlen(text);
    while (len && text[len - 1] == '=')
        len--;
    return len * 3 / 4;
}

static void add_media(struct buf *out, const json_t *block, const char *type)
{
    buf_printf(out, "[%s", type);
    add_label(out, block, "mimeType", ", ", LABEL_MAX);
    buf_printf(out, ", %zu bytes, not shown]", base64_bytes(block, "data"));
}

static void add_resource(struct buf *out, const json_t *resource)
{
    const char *text = js_str(resource, "text", NULL);
    const char *uri = js_str(resource, "uri", "");
    if (text && *uri) {
        buf_add_str(out, "[resource ");
        add_capped(out, uri, URI_MAX);
        add_label(out, resource, "mimeType", ", ", LABEL_MAX);
        buf_add_str(out, "]\n");
    }
    if (text) {
        buf_add_str(out, text);
        return;
    }
    buf_add_str(out, "[resource ");
    add_capped(out, *uri ? uri : "without a URI", URI_MAX);
    add_label(out, resource, "mimeType", ", ", LABEL_MAX);
    buf_printf(out, ", %zu bytes, not shown]", base64_bytes(resource, "blob"));
}

static void add_reference(struct buf *out, const json_t *resource, const char *uri_key)
{
    const char *title = js_str(resource, "title", "");
    add_label(out, resource, *title ? "title" : "name", "", LABEL_MAX);
    add_label(out, resource, uri_key, ": ", URI_MAX);
    add_label(out, resource, "mimeType", ", ", LABEL_MAX);
    int64_t size = js_int(resource, "size", -1);
    if (size >= 0)
        buf_printf(out, ", %lld bytes", (long long)size);
    add_label(out, resource, "description", " (", LABEL_MAX);
    if (*js_str(resource, "description", ""))
        buf_add_char(out, ')');
}

static void add_block(struct buf *out, const json_t *block)
{
    const char *type = js_str(block, "type", "");
    if (out->len)
        buf_add_char(out, '\n');
    if (strcmp(type, "text") == 0) {
        buf_add_str(out, js_str(block, "text", ""));
    } else if (strcmp(type, "resource") == 0) {
        add_resource(out, json_object_get(block, "resource"));
    } else if (strcmp(type, "resource_link") == 0) {
        buf_add_str(out, "[link to ");
        add_reference(out, block, "uri");
        buf_add_char(out, ']');
    } else if (strcmp(type, "image") == 0 || strcmp(type, "audio") == 0) {
        add_media(out, block, type);
    } else {
        buf_printf(out, "[%.32s content, not shown]", *type ? type : "unknown");
    }
}

/* Servers are to give structured content as text too (2025-06-18, tools, structured content). */
static bool is_said(const json_t *content, const json_t *structured)
{
    size_t index;
    json_t *block;
    json_array_foreach(content, index, block)
    {
        const char *text = js_str(block, "text", NULL);
        size_t len = text ? strlen(text) : 0;
        json_t *json = NULL;
        if (len < 2 || len > SAME_JSON_MAX || !strchr("{[", text[0]) ||
            js_parse(text, len, &json, NULL))
            continue;
        bool same = json_equal(json, structured);
        json_decref(json);
        if (same)
            return true;
    }
    return false;
}

char *mcp_result_text(const json_t *result, size_t max, bool *ret_is_error)
{
    struct buf text;
    buf_init(&text, (size_t)MCP_LINE_MAX * 2);
    size_t index;
    json_t *block, *content = json_object_get(result, "content");
    json_array_foreach(content, index, block) add_block(&text, block);
    json_t *structured = json_object_get(result, "structuredContent");
    if (structured && !is_said(content, structured)) {
        if (text.len)
            buf_add_char(&text, '\n');
        js_dump_buf(structured, &text);
    }
    *ret_is_error = js_bool(result, "isError", false);
    return capped_copy(&text, max);
}

char *mcp_resource_text(const json_t *result, size_t max)
{
    struct buf text;
    buf_init(&text, (size_t)MCP_LINE_MAX * 2);
    size_t index;
    json_t *resource;
    json_array_foreach(json_object_get(result, "contents"), index, resource)
    {
        if (text.len)
            buf_add_char(&text, '\n');
        add_resource(&text, resource);
    }
    return capped_copy(&text, max);
}

static void add_lines(struct buf *out, const json_t *list, const char *uri_key, const char *mark)
{
    size_t index;
    json_t *resource;
    json_array_foreach(list, index, resource)
    {
        buf_add_str(out, mark);
        add_reference(out, resource, uri_key);
        buf_add_char(out, '\n');
    }
}

char *mcp_resource_lines(const json_t *resources, const json_t *templates, size_t max)
{
    struct buf text;
    buf_init(&text, (size_t)MCP_LINE_MAX * 2);
    add_lines(&text, resources, "uri", "");
    add_lines(&text, templates, "uriTemplate", "template ");
    if (!text.len)
        buf_add_str(&text, "The server has no resources.");
    return capped_copy(&text, max);
}
