#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/rules.h"

enum { LINE_MAX_BYTES = 240, LINES_MAX = 40, RESULT_MAX = 1500, DEPTH_MAX = 12 };

/* What is essential about the objects that tools answer with. */
static const char *const KEYS[] = {"subject", "summary", "name",   "title", "from",
                                   "sender",  "start",   "body",   "text",  "message",
                                   "content", "snippet", "status", "error", NULL};

static void add_capped(struct buf *out, const char *text, size_t len)
{
    AUTOJSON json_t *line = js_string_capped(text, len, LINE_MAX_BYTES, "…");
    buf_add_str(out, json_string_value(line));
}

/* The value's first line. */
static void add_value(struct buf *out, const char *text)
{
    add_capped(out, text, strcspn(text, "\r\n"));
}

static void add_object(struct buf *out, const json_t *object)
{
    const char *gap = "- ";
    for (int i = 0; KEYS[i]; i++) {
        const char *value = js_str(object, KEYS[i], NULL);
        if (!value || !*value)
            continue;
        buf_add_str(out, gap);
        add_value(out, value);
        gap = " | ";
    }
    if (*gap == ' ')
        buf_add_char(out, '\n');
}

static void add_json(struct buf *out, const json_t *value, int depth, int *lines)
{
    size_t i;
    const char *key;
    json_t *member;
    if (depth > DEPTH_MAX || *lines <= 0)
        return;
    if (json_is_object(value)) {
        (*lines)--;
        add_object(out, value);
        json_object_foreach((json_t *)value, key,
                            member) if (json_is_object(member) || json_is_array(member))
            add_json(out, member, depth + 1, lines);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, member) add_json(out, member, depth + 1, lines);
    } else if (json_is_string(value)) {
        (*lines)--;
        buf_add_str(out, "- ");
        add_value(out, json_string_value(value));
        buf_add_char(out, '\n');
    }
}

static void add_lines(struct buf *out, const char *text)
{
    for (int lines = LINES_MAX; *text && lines; text += strspn(text, "\r\n")) {
        size_t len = strcspn(text, "\r\n");
        if (len) {
            add_capped(out, text, len);
            buf_add_char(out, '\n');
            lines--;
        }
        text += len;
    }
}

static void add_result(struct buf *out, const char *text)
{
    struct buf part;
    int lines = LINES_MAX;
    json_t *value = NULL;
    buf_init(&part, 256 << 10);
    bool json = js_parse(text, strlen(text), &value, NULL) == ERR_OK &&
                (json_is_object(value) || json_is_array(value));
    if (json)
        add_json(&part, value, 0, &lines);
    if (part.len == 0) /* JSON that names nothing known is quoted as it is */
        add_lines(&part, text);
    json_decref(value);
    AUTOJSON json_t *capped = js_string_capped(buf_text(&part), part.len, RESULT_MAX, "…\n");
    buf_add_str(out, json_string_value(capped));
    buf_fini(&part);
}

/* The name of the tool that a result belongs to. */
static const char *tool_name(const json_t *messages, const char *id)
{
    size_t i, j;
    const json_t *message, *call;
    json_array_foreach(messages, i, message) json_array_foreach(
        json_object_get(message, "tool_calls"), j,
        call) if (strcmp(js_str(call, "id", ""), id) ==
                  0) return js_str(json_object_get(call, "function"), "name", "");
    return "the tool";
}

char *rules_answer(const json_t *messages)
{
    struct buf out;
    long user = rules_last_user(messages);
    buf_init(&out, 1 << 20);
    for (size_t i = (size_t)(user + 1); i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        if (strcmp(js_str(message, "role", ""), "tool") != 0)
            continue;
        AUTOFREE char *text = rules_text(message);
        buf_printf(&out, "%sFrom %s:\n", out.len ? "\n" : "Here is what I found.\n\n",
                   tool_name(messages, js_str(message, "tool_call_id", "")));
        add_result(&out, text);
        if (out.len > RULES_ANSWER_MAX)
            break;
    }
    if (out.len == 0) {
        AUTOFREE char *text =
            user < 0 ? mem_strdup("") : rules_text(json_array_get(messages, (size_t)user));
        buf_add_str(&out, "You said: ");
        buf_add_str(&out, text);
        buf_add_str(&out, "\nI am the sandbox's stand-in for a model, and no tool that I was "
                          "offered fits that.");
    }
    AUTOJSON json_t *capped = js_string_capped(buf_text(&out), out.len, RULES_ANSWER_MAX - 8, "…");
    buf_fini(&out);
    return mem_strdup(json_string_value(capped));
}
