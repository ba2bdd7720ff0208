#include "services/cli/events.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "services/cli/output.h"

#define GAP " · "

enum {
    TEXT_BYTES = 2 * 1024 * 1024,
    LINE_BYTES = 8192,
    LINE_COLUMNS = 240, /* where no terminal says less */
    HEAD_COLUMNS = 35,  /* number, time, type */
    TEXT_COLUMNS_MIN = 20,
};

/* RFC 3339, UTC, as all times of the bus; 0: it is none. */
static int64_t time_of(const char *timestamp)
{
    struct tm tm = {0};
    const char *rest = strptime(timestamp, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest)
        return 0;
    double fraction = *rest == '.' ? strtod(rest, NULL) : 0;
    return (int64_t)timegm(&tm) * 1000 + (int64_t)(fraction * 1000);
}

static bool is(const char *text, const char *other)
{
    return strcmp(text, other) == 0;
}

static enum paint paint_of(const char *type, const json_t *data)
{
    const char *status = js_str(data, "status", "");
    if (is(status, "failed") || is(status, "cancelled") || js_bool(data, "is_error", false))
        return PAINT_BAD;
    if (is(status, "completed") || is(type, "message"))
        return PAINT_GOOD;
    if (is(type, "waiting_approval") || is(js_str(data, "level", ""), "warning"))
        return PAINT_WARN;
    return PAINT_DIM;
}

/* What is said in its own place, or is for accounts. */
static bool is_said(const char *key)
{
    static const char *const keys[] = {"usage", "turn",   "timestamp", "text",
                                       "name",  "status", "content",   "message",
                                       "id",    "server", "model_call"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (is(keys[i], key))
            return true;
    return false;
}

static void add_word(struct buf *text, const char *word)
{
    if (*word)
        buf_printf(text, "%s%s", text->len ? GAP : "", word);
}

static void add_number(struct buf *text, int64_t number, const char *unit)
{
    if (number > 0)
        buf_printf(text, "%s%lld%s", text->len ? GAP : "", (long long)number, unit);
}

/* {"max_results": 10} as max_results=10 */
static void add_members(struct buf *text, const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        buf_printf(text, "%s%s=", text->len ? GAP : "", key);
        if (json_is_string(value))
            buf_add_str(text, json_string_value(value));
        else
            js_dump_buf(value, text);
    }
}

static void add_rest(struct buf *text, const json_t *data)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)data, key, value)
    {
        if (is(key, "arguments") && json_is_object(value)) {
            add_members(text, value);
        } else if (is(key, "duration_ms")) {
            add_number(text, json_integer_value(value), " ms");
        } else if (!is_said(key) && !json_is_null(value) && !json_is_false(value)) {
            buf_printf(text, "%s%s=", text->len ? GAP : "", key);
            if (json_is_string(value))
                buf_add_str(text, json_string_value(value));
            else
                js_dump_buf(value, text);
        }
    }
}

static void add_calls(struct buf *text, const json_t *calls)
{
    size_t i;
    json_t *call;
    json_array_foreach(calls, i, call) add_word(text, js_str(call, "name", ""));
}

static void describe(struct buf *text, const char *type, const json_t *data)
{
    add_word(text, js_str(data, "status", ""));
    add_word(text, js_str(data, "name", js_str(data, "server", "")));
    if (is(type, "waiting_approval"))
        add_calls(text, json_object_get(data, "calls"));
    else
        add_rest(text, data);
    add_word(text, js_str(data, "message", ""));
    add_word(text, js_str(data, "text", ""));
    add_word(text, js_str(data, "content", ""));
    add_number(text, js_int(json_object_get(data, "model_call"), "duration_ms", 0), " ms");
    add_number(text, js_int(json_object_get(data, "usage"), "total_tokens", 0), " tokens");
}

static void add_time(struct buf *line, const json_t *data, int64_t *began)
{
    int64_t at = time_of(js_str(data, "timestamp", ""));
    *began = *began ? *began : at;
    int64_t ms = at > *began ? at - *began : 0;
    buf_printf(line, "%6lld.%02lld s", (long long)(ms / 1000), (long long)(ms / 10 % 100));
}

void event_print(FILE *out, const json_t *event, int64_t *began)
{
    const char *type = js_str(event, "type", "");
    const json_t *data = json_object_get(event, "data");
    size_t width = output_width(out);
    size_t room = !width                                    ? LINE_COLUMNS
                  : width > HEAD_COLUMNS + TEXT_COLUMNS_MIN ? width - HEAD_COLUMNS
                                                            : TEXT_COLUMNS_MIN;
    struct buf line, name, text;
    buf_init(&text, TEXT_BYTES);
    buf_init(&line, LINE_BYTES);
    buf_init(&name, LINE_BYTES);
    describe(&text, type, data);
    output_clean(&name, type, 16);
    buf_printf(&line, "%4lld ", (long long)js_int(event, "seq", 0));
    add_time(&line, data, began);
    buf_printf(&line, "  %s%-16s%s ", output_paint(out, paint_of(type, data)), buf_text(&name),
               output_paint(out, PAINT_PLAIN));
    output_clean(&line, buf_text(&text), room);
    fprintf(out, "%s\n", buf_text(&line));
    fflush(out);
    buf_fini(&line);
    buf_fini(&name);
    buf_fini(&text);
}

static void note_tool(struct activity *activity, const json_t *data, int change)
{
    activity->calls += change;
    if (activity->calls < 0)
        activity->calls = 0;
    if (change > 0)
        snprintf(activity->tool, sizeof activity->tool, "%s", js_str(data, "name", "a tool"));
}

static const char *doing(const struct activity *activity, const char *type, const json_t *data)
{
    static char text[160];
    const char *status = js_str(data, "status", "");
    if (is(type, "waiting_approval"))
        return "waits for approval: mcpbus jobs approve, or deny";
    if (is(status, "pending") || is(status, "queued"))
        return "waits for a worker";
    if (*status && !is(status, "running"))
        return status;
    if (activity->calls > 1)
        snprintf(text, sizeof text, "runs %s and %d more", activity->tool, activity->calls - 1);
    else if (activity->calls)
        snprintf(text, sizeof text, "runs %s", activity->tool);
    else
        snprintf(text, sizeof text, "asks the model");
    return text;
}

void activity_note(struct activity *activity, const json_t *event)
{
    const char *type = js_str(event, "type", "");
    const json_t *data = json_object_get(event, "data");
    if (is(type, "tool_call"))
        note_tool(activity, data, 1);
    else if (is(type, "tool_result"))
        note_tool(activity, data, -1);
    else if (is(type, "status"))
        activity->calls = 0;
    activity->turn = js_int(data, "turn", activity->turn);
    activity->tokens += js_int(json_object_get(data, "usage"), "total_tokens", 0);
    const char *now = doing(activity, type, data);
    char turn[32] = "", tokens[48] = "";
    if (activity->turn)
        snprintf(turn, sizeof turn, "turn %lld · ", (long long)activity->turn);
    if (activity->tokens)
        snprintf(tokens, sizeof tokens, " · %lld tokens", (long long)activity->tokens);
    snprintf(activity->doing, sizeof activity->doing, "%s%.110s%s", turn, now, tokens);
}
