/* What the model is told first: the system's message, earlier turns, the task, and what earlier
 * attempts have done. */
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/agent_config.h"
#include "services/worker/agent_internal.h"
#include "services/worker/agent_message.h"
#include "services/worker/agent_prompt.h"

enum { TURN_TEXT_MAX = 32 << 10, CONTEXT_DEFAULT = 128000, TOOLS_BYTES_MAX = 256 << 10 };

static json_t *system_message(const struct agent *agent, size_t dropped)
{
    const struct agent_task *task = agent->task;
    const char *zone = js_str(task->user, "time_zone", "");
    AUTOFREE char *notes =
        dropped ? mem_printf("%s %zu earlier tool calls of this task are not shown any more.",
                             task->notes, dropped)
                : mem_strdup(task->notes);
    if (!agent_config_is_time_zone(zone))
        zone = js_str(task->settings, "time_zone", "UTC");
    const struct agent_prompt prompt = {
        .text = js_str(task->settings, "system_prompt", NULL),
        .time_zone = zone,
        .user_name = js_str(task->user, "name", ""),
        .user_email = js_str(task->user, "email", ""),
        .notes = notes,
        .tools = agent_tools_offered(agent->tools),
        .now = time(NULL),
    };
    AUTOFREE char *text = agent_prompt_text(&prompt);
    return agent_message("system", text);
}

/* How many of the newest turns are told. */
static size_t first_told(const json_t *turns)
{
    size_t first = json_array_size(turns), bytes = 0;
    while (first > 0) {
        bytes += js_dump_size(json_array_get(turns, first - 1));
        if (bytes > AGENT_CONVERSATION_MAX)
            break;
        first--;
    }
    return first;
}

static void add_turn(json_t *messages, const json_t *turn)
{
    const char *message = js_str(turn, "message", ""), *result = js_str(turn, "result", "");
    if (!*message || !*result)
        return;
    AUTOJSON json_t *question = agent_capped(message, TURN_TEXT_MAX);
    AUTOJSON json_t *answer = agent_capped(result, TURN_TEXT_MAX);
    json_array_append_new(messages, agent_message("user", json_string_value(question)));
    json_array_append_new(messages, agent_message("assistant", json_string_value(answer)));
}

static void note_ids(struct agent *agent, const json_t *messages)
{
    size_t index, at;
    const json_t *message, *call;
    json_array_foreach(messages, index, message)
        json_array_foreach(json_object_get(message, "tool_calls"), at, call)
            json_object_set_new(agent->ids, js_str(call, "id", ""), json_true());
}

/* What was found by searching is offered again. */
static void search_again(struct agent *agent, const json_t *searches)
{
    size_t index;
    const json_t *arguments;
    json_array_foreach(searches, index, arguments)
    {
        if (agent_tools_is_search(agent->tools, AGENT_SEARCH_TOOL))
            free(agent_tools_search(agent->tools, js_str(arguments, "query", "")));
    }
}

static void init_context(struct agent *agent, const struct history_past *past)
{
    const struct agent_task *task = agent->task;
    json_t *messages = json_array();
    json_array_append_new(messages, system_message(agent, past->dropped));
    for (size_t i = first_told(task->conversation); i < json_array_size(task->conversation); i++)
        add_turn(messages, json_array_get(task->conversation, i));
    size_t task_at = json_array_size(messages);
    json_array_append_new(messages, agent_message("user", task->message));
    json_array_extend(messages, past->messages);
    agent_context_init(&agent->context, messages, task_at,
                       js_int(task->settings, "context_tokens", CONTEXT_DEFAULT),
                       AGENT_REQUEST_MAX);
    note_ids(agent, messages);
}

void agent_start(struct agent *agent, struct history_past *past)
{
    const struct agent_task *task = agent->task;
    /* At about four bytes each, tools may take a quarter of what the model reads. */
    int64_t bytes = js_int(task->settings, "context_tokens", CONTEXT_DEFAULT);
    history_rebuild(task->history, past);
    agent->ids = json_object();
    agent->tools = agent_tools_new(task->tools, AGENT_TOOLS_OFFERED_MAX,
                                   bytes < TOOLS_BYTES_MAX ? (size_t)bytes : TOOLS_BYTES_MAX);
    search_again(agent, past->searches);
    agent_budget_init(&agent->budget, task->settings, task->options);
    agent_budget_resume(&agent->budget, task->usage, 0);
    agent_budget_resume(&agent->budget, past->usage, past->turns);
    init_context(agent, past);
}
