#include "services/worker/agent.h"

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/agent_internal.h"
#include "services/worker/agent_message.h"

enum { EMPTY_ANSWERS_MAX = 2, SHRINKS_MAX = 8, MODEL_NAME_MAX = 200, REASON_MAX = 500 };

static const char last_word[] =
    "\n\nNo tool can be called any more: the task's budget of model calls is used up. Say now what "
    "was done and found so far, and what is left to do.";

static const char say_something[] =
    "Your last answer was empty. Call a tool, or say what was done and found.";

static bool is_late(const struct agent *agent)
{
    return agent->ops->now(agent->ops->arg) >= agent->task->deadline;
}

static void end_late(struct agent *agent)
{
    AUTOFREE char *why = mem_printf("budget_exhausted: time: the run was ended because it did not "
                                    "finish within %lld seconds.",
                                    (long long)agent->task->limit_ms / 1000);
    agent_end_kept(agent, why, NULL);
}

/* Sets *ret_answer, or the run's end. `last`: the model may only speak. */
static enum err ask_once(struct agent *agent, bool last, json_t **ret_answer)
{
    int64_t input = agent_context_tokens(&agent->context);
    agent->room = agent_budget_answer_tokens(&agent->budget, input);
    AUTOJSON json_t *request =
        json_pack("{s:O, s:s, s:I}", "messages", agent->context.messages, "model",
                  agent->budget.model, "turn", (json_int_t)agent->budget.turns + 1);
    const json_t *tools = agent_tools_offered(agent->tools);
    if (json_array_size(tools))
        json_object_set(request, "tools", (json_t *)tools);
    if (json_array_size(tools) && last)
        json_object_set_new(request, "tool_choice", json_string("none"));
    if (!*agent->budget.model)
        json_object_del(request, "model");
    if (agent->room)
        json_object_set_new(request, "max_completion_tokens", json_integer(agent->room));
    int64_t began = agent->ops->now(agent->ops->arg);
    enum err err = agent->ops->ask(agent->ops->arg, request, agent->task->deadline, ret_answer);
    agent->asked_for_ms = agent->ops->now(agent->ops->arg) - began;
    if (err == ERR_TIMEOUT)
        end_late(agent);
    return err == ERR_TIMEOUT ? ERR_OK : err;
}

/* Asks with less, as long as the model says that it is too much. */
static enum err ask(struct agent *agent, bool last, json_t **ret_answer)
{
    for (int i = 0; i < SHRINKS_MAX; i++) {
        bool fits = agent_context_fit(&agent->context);
        AUTOJSON json_t *answer = NULL;
        if (!fits && (i > 0 || agent->context.sent > agent->context.max_bytes))
            break;
        enum err err = ask_once(agent, last, &answer);
        if (err || agent->end)
            return err;
        if (strcmp(js_str(answer, "code", ""), "context_length_exceeded") != 0) {
            *ret_answer = json_incref(answer);
            return ERR_OK;
        }
        agent_context_exceeded(&agent->context);
    }
    agent_end_kept(agent, "The task became larger than what the model can read.", NULL);
    return ERR_OK;
}

static void note_model_call(struct agent *agent, const json_t *answer)
{
    const json_t *usage = json_object_get(answer, "usage");
    const char *model = js_str(answer, "model", agent->budget.model);
    const char *reason = js_str(answer, "retry_reason", "");
    json_t *price = agent_budget_price(&agent->budget, usage);
    json_decref(agent->model_call);
    agent->model_call = json_pack("{s:o, s:I, s:I, s:I}", "model",
                                  js_string_capped(model, strlen(model), MODEL_NAME_MAX, "…"),
                                  "duration_ms", (json_int_t)agent->asked_for_ms, "input_tokens",
                                  (json_int_t)js_int(usage, "input_tokens", 0), "output_tokens",
                                  (json_int_t)js_int(usage, "output_tokens", 0));
    if (price)
        json_object_set_new(agent->model_call, "cost", price);
    if (js_int(answer, "retries", 0) <= 0)
        return;
    json_object_set(agent->model_call, "retries", json_object_get(answer, "retries"));
    json_object_set_new(agent->model_call, "retry_reason",
                        js_string_capped(reason, strlen(reason), REASON_MAX, "…"));
}

void agent_add_counters(struct agent *agent, json_t *data)
{
    json_object_set_new(data, "turn", json_integer(agent->budget.turns));
    json_object_set_new(data, "usage", agent_budget_usage(&agent->budget));
    if (agent->model_call)
        json_object_set_new(data, "model_call", agent->model_call);
    agent->model_call = NULL;
}

static void count(struct agent *agent, const json_t *answer, const json_t *message)
{
    const json_t *usage = json_object_get(answer, "usage");
    note_model_call(agent, answer);
    agent_budget_add(&agent->budget, usage,
                     agent_context_estimate(&agent->context, agent->context.sent),
                     agent_context_estimate(&agent->context, js_dump_size(message)));
    agent_context_learn(&agent->context, js_int(usage, "input_tokens", 0));
}

static enum err tell_text(struct agent *agent, const char *text)
{
    if (!*text)
        return ERR_OK;
    free(agent->last_text);
    agent->last_text = mem_strdup(text);
    json_t *data = json_pack("{s:o}", "text", agent_capped(text, AGENT_EVENT_TEXT_MAX));
    agent_add_counters(agent, data);
    return agent->ops->event(agent->ops->arg, "message", data, false);
}

/* A turn that had neither a text nor a call: refused, filtered, empty. */
static enum err tell_silence(struct agent *agent)
{
    if (!agent->model_call)
        return ERR_OK;
    json_t *data = json_pack("{s:s}", "message", "The model's answer has no text.");
    agent_add_counters(agent, data);
    json_object_del(data, "usage"); /* a progress event may be left out: it counts for nothing */
    return agent->ops->event(agent->ops->arg, "progress", data, false);
}

/* The turns are used up: what the model has learnt is not lost, if its other budgets allow one more
 * answer. */
static enum err end_turns(struct agent *agent, const char *why)
{
    AUTOFREE char *more =
        agent_budget_exhausted(&agent->budget, agent_context_tokens(&agent->context), false);
    AUTOJSON json_t *answer = NULL;
    if (more) {
        agent_end_kept(agent, why, NULL);
        return ERR_OK;
    }
    json_t *system = json_array_get(agent->context.messages, 0);
    AUTOFREE char *text = mem_printf("%s%s", js_str(system, "content", ""), last_word);
    json_array_set_new(agent->context.messages, 0, agent_message("system", text));
    enum err err = ask(agent, true, &answer);
    if (err)
        return err;
    const json_t *message = json_object_get(answer, "message");
    const char *said = js_str(message, "content", "");
    if (message) {
        count(agent, answer, message);
        err = tell_text(agent, said);
    }
    if (!err)
        err = tell_silence(agent);
    agent_end_kept(agent, why, said);
    return err;
}

static void end_refused(struct agent *agent, const char *refusal)
{
    AUTOFREE char *text = mem_printf("The model refused the task: %s", refusal);
    agent_end_completed(agent, text);
}

/* Was it our limit, or the model's own? */
static void end_cut(struct agent *agent, const char *text, int64_t output)
{
    AUTOFREE char *why = agent_budget_exhausted(&agent->budget, 1, false);
    AUTOFREE char *cut = mem_printf("%s\n[cut: the model's answer reached its length limit]", text);
    if (why)
        agent_end_kept(agent, why, text);
    else if (agent->room && (!output || output + 8 >= agent->room))
        agent_end_kept(agent,
                       "budget_exhausted: the answer was cut where the run's tokens or cost end.",
                       text);
    else if (!*text)
        agent_end_kept(
            agent, "The model's answer reached its length limit before it said anything.", NULL);
    else
        agent_end_completed(agent, cut);
}

/* Small models do so at times; told, most go on. */
static void answer_empty(struct agent *agent)
{
    if (agent->empty_answers++ == EMPTY_ANSWERS_MAX) {
        agent_end_kept(agent, "The model gave no answer, though asked again.", NULL);
        return;
    }
    json_array_append_new(agent->context.messages, agent_message("user", say_something));
}

static void end_with_text(struct agent *agent, const json_t *answer)
{
    const json_t *message = json_object_get(answer, "message");
    const char *reason = js_str(answer, "finish_reason", "");
    const char *text = js_str(message, "content", ""), *refusal = js_str(message, "refusal", "");
    if (*refusal)
        end_refused(agent, refusal);
    else if (strcmp(reason, "content_filter") == 0)
        agent_end_kept(agent, "The model's provider stopped its answer by a content filter.", text);
    else if (strcmp(reason, "length") == 0)
        end_cut(agent, text, js_int(json_object_get(answer, "usage"), "output_tokens", 0));
    else if (!*text)
        answer_empty(agent);
    else
        agent_end_completed(agent, text);
}

/* A call as it is sent back, with what the endpoint signed it with. */
static json_t *said_call(const json_t *copy)
{
    json_t *call = agent_message_call(js_str(copy, "id", ""), js_str(copy, "name", ""),
                                      json_object_get(copy, "arguments"));
    json_t *extra = json_object_get(copy, "extra_content");
    if (extra)
        json_object_set(call, "extra_content", extra);
    return call;
}

/* Calls count whatever the reason says that the answer ended for: endpoints differ in that. */
static enum err take_answer(struct agent *agent, const json_t *answer)
{
    const json_t *message = json_object_get(answer, "message");
    const char *reason = js_str(answer, "finish_reason", "");
    AUTOJSON json_t *calls = agent_calls_copy(agent, json_object_get(message, "tool_calls"));
    bool filtered = strcmp(reason, "content_filter") == 0;
    if (!json_array_size(calls) || filtered) {
        end_with_text(agent, answer);
        return ERR_OK;
    }
    json_t *said = json_array();
    size_t index;
    const json_t *copy;
    json_array_foreach(calls, index, copy) json_array_append_new(said, said_call(copy));
    agent->context.fresh_at = json_array_size(agent->context.messages);
    json_array_append_new(agent->context.messages,
                          agent_message_calls(js_str(message, "content", ""), said));
    return agent_calls_make(agent, calls, strcmp(reason, "length") == 0);
}

static enum err turn(struct agent *agent)
{
    AUTOJSON json_t *answer = NULL;
    if (is_late(agent)) {
        end_late(agent);
        return ERR_OK;
    }
    agent->context.extra = js_dump_size(agent_tools_offered(agent->tools));
    AUTOFREE char *why =
        agent_budget_exhausted(&agent->budget, agent_context_tokens(&agent->context), true);
    if (why && agent->budget.turns >= agent->budget.max_turns)
        return end_turns(agent, why);
    if (why) {
        agent_end_kept(agent, why, NULL);
        return ERR_OK;
    }
    enum err err = ask(agent, false, &answer);
    if (err || agent->end)
        return err;
    const json_t *message = json_object_get(answer, "message");
    if (!message) {
        agent_end_error(agent, js_str(answer, "outcome", "failed"),
                        js_str(answer, "error", "The model gave no answer."));
        return ERR_OK;
    }
    count(agent, answer, message);
    err = tell_text(agent, js_str(message, "content", ""));
    if (!err)
        err = take_answer(agent, answer);
    return err ? err : tell_silence(agent);
}

static void set_fresh(struct agent *agent)
{
    const json_t *messages = agent->context.messages;
    size_t at = json_array_size(messages);
    while (at > agent->context.task_at + 1 && at-- > 0)
        if (strcmp(js_str(json_array_get(messages, at), "role", ""), "assistant") == 0)
            break;
    agent->context.fresh_at = at;
}

json_t *agent_run(const struct agent_task *task, const struct agent_ops *ops)
{
    struct agent agent = {.task = task, .ops = ops};
    struct history_past past;
    enum err err = ERR_OK;
    agent_start(&agent, &past);
    set_fresh(&agent);
    AUTOFREE char *problem = agent_budget_problem(&agent.budget);
    if (problem)
        agent_end_error(&agent, "failed", problem);
    else if (past.open)
        err = agent_calls_resume(&agent, past.open);
    while (!agent.end && !err)
        err = turn(&agent);
    history_past_fini(&past);
    agent_context_fini(&agent.context);
    agent_tools_destroy(&agent.tools);
    json_decref(agent.ids);
    json_decref(agent.model_call);
    free(agent.last_text);
    if (err)
        json_decref(agent.end);
    return err ? NULL : agent.end;
}
