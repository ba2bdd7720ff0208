#include "services/worker/history.h"

#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { SHOWN_MAX = 400 };

static void add_call(json_t *history, const json_t *data)
{
    json_t *arguments = json_object_get(data, "arguments");
    /* What was answered from the record was not done again. */
    if (json_array_size(history) >= HISTORY_MAX || js_bool(data, "replayed", false) || !arguments)
        return;
    json_array_append_new(history,
                          json_pack("{s:s, s:s, s:O}", "id", js_str(data, "id", ""), "name",
                                    js_str(data, "name", ""), "arguments", arguments));
}

/* Ids may come again in the next attempt: the answer belongs to the newest call. */
static void add_result(json_t *history, const json_t *data)
{
    const char *id = js_str(data, "id", "");
    if (js_bool(data, "replayed", false))
        return;
    for (size_t i = json_array_size(history); i-- > 0;) {
        json_t *entry = json_array_get(history, i);
        if (strcmp(js_str(entry, "id", ""), id) != 0)
            continue;
        if (!json_object_get(entry, "content")) {
            const char *text = js_str(data, "content", "");
            json_object_set_new(
                entry, "content",
                js_string_capped(text, strlen(text), HISTORY_CONTENT_MAX, "\n[cut]"));
            json_object_set_new(entry, "is_error", json_boolean(js_bool(data, "is_error", false)));
        }
        return;
    }
}

void history_add(json_t *history, const json_t *event)
{
    const char *type = js_str(event, "type", "");
    const json_t *data = json_object_get(event, "data");
    if (strcmp(type, "tool_call") == 0)
        add_call(history, data);
    else if (strcmp(type, "tool_result") == 0)
        add_result(history, data);
}

const json_t *history_take(json_t *history, const char *name, const json_t *arguments)
{
    size_t index;
    json_t *entry;
    json_array_foreach(history, index, entry)
    {
        if (strcmp(js_str(entry, "name", ""), name) != 0 || js_bool(entry, "used", false) ||
            !json_equal(json_object_get(entry, "arguments"), arguments))
            continue;
        if (json_object_get(entry, "content"))
            json_object_set_new(entry, "used", json_true());
        return entry;
    }
    return NULL;
}

static void add_capped(struct buf *out, const char *text)
{
    json_t *capped = js_string_capped(text, strlen(text), SHOWN_MAX, "…");
    buf_add_str(out, json_string_value(capped));
    json_decref(capped);
}

char *history_notes(const json_t *history, size_t max)
{
    struct buf out;
    size_t index;
    json_t *entry;
    if (!json_array_size(history))
        return mem_strdup("");
    buf_init(&out, max);
    buf_add_str(&out, "An earlier attempt at this task was interrupted. Its tool calls are below; "
                      "do not do again what they did.");
    json_array_foreach(history, index, entry)
    {
        AUTOFREE char *arguments = js_dump(json_object_get(entry, "arguments"));
        const char *content = js_str(entry, "content", NULL);
        buf_printf(&out, "\n- %.100s ", js_str(entry, "name", ""));
        add_capped(&out, arguments);
        buf_add_str(&out, content ? " answered: " : " (its outcome is unknown)");
        add_capped(&out, content ? content : "");
    }
    return buf_steal(&out);
}
