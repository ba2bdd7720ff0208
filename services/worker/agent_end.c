/* How a run ends. */
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/agent_internal.h"

enum { KEPT_RESULTS = 5, KEPT_TEXT_MAX = 2000, FOUND_MAX = 16 << 10 };

static const char cut_marker[] = "\n[cut: the text is longer]";

json_t *agent_capped(const char *text, size_t max)
{
    return js_string_capped(text, strlen(text), max, cut_marker);
}

static void set_end(struct agent *agent, const char *outcome)
{
    json_t *usage = agent_budget_usage(&agent->budget);
    json_object_del(usage, "cached_tokens"); /* a job's usage has the original's three */
    json_decref(agent->end);
    agent->end = json_pack("{s:s, s:o}", "outcome", outcome, "token_usage", usage);
}

/* A text of control characters grows sixfold as JSON: such a result is cut harder. */
static void set_result(struct agent *agent, const char *text)
{
    size_t max = AGENT_RESULT_MAX - sizeof cut_marker;
    json_t *result = agent_capped(text, max);
    while (js_dump_size(result) > AGENT_RESULT_JSON_MAX) {
        json_decref(result);
        max /= 2;
        result = agent_capped(text, max);
    }
    json_object_set_new(agent->end, "result", result);
}

void agent_end_completed(struct agent *agent, const char *text)
{
    set_end(agent, "completed");
    set_result(agent, text);
}

void agent_end_error(struct agent *agent, const char *outcome, const char *why)
{
    set_end(agent, outcome);
    json_object_set_new(agent->end, "error_message", agent_capped(why, AGENT_EVENT_TEXT_MAX));
}

void agent_end_waiting(struct agent *agent)
{
    set_end(agent, "waiting");
}

/* The name of the call that a result at `index` answers. */
static const char *name_of(const json_t *messages, size_t index)
{
    const char *id = js_str(json_array_get(messages, index), "tool_call_id", "");
    for (size_t i = index; i-- > 0;) {
        size_t at;
        const json_t *call;
        json_array_foreach(json_object_get(json_array_get(messages, i), "tool_calls"), at,
                           call) if (strcmp(js_str(call, "id", ""), id) ==
                                     0) return js_str(json_object_get(call, "function"), "name",
                                                      "");
    }
    return "";
}

/* What a person can use of a run that came to no answer; "" when there is nothing. */
static char *found(const struct agent *agent)
{
    const json_t *messages = agent->context.messages;
    size_t first = json_array_size(messages), count = 0;
    struct buf out;
    if (agent->last_text)
        return mem_strdup(agent->last_text);
    while (first > agent->context.task_at + 1 && count < KEPT_RESULTS)
        count += strcmp(js_str(json_array_get(messages, --first), "role", ""), "tool") == 0;
    buf_init(&out, FOUND_MAX);
    for (size_t i = first; count && i < json_array_size(messages); i++) {
        const char *text = js_str(json_array_get(messages, i), "content", "");
        if (strcmp(js_str(json_array_get(messages, i), "role", ""), "tool") != 0)
            continue;
        AUTOJSON json_t *shown = agent_capped(text, KEPT_TEXT_MAX);
        buf_printf(&out, "%s\n\n%s:\n%s",
                   out.len ? "" : "There is no answer yet. Found so far:", name_of(messages, i),
                   json_string_value(shown));
    }
    return buf_steal(&out);
}

void agent_end_kept(struct agent *agent, const char *why, const char *text)
{
    AUTOFREE char *kept = text && *text ? mem_strdup(text) : found(agent);
    agent_end_error(agent, "failed", why);
    if (*kept)
        set_result(agent, kept);
}
