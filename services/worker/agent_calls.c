/* The tool calls of one turn. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/agent_internal.h"
#include "services/worker/agent_message.h"

enum {
    ID_MAX = 64,
    NAME_SHOWN_MAX = 128,
    APPROVAL_ARGUMENTS_MAX = 48 << 10, /* of one call: approved is what was shown, to the byte */
    APPROVAL_EVENT_MAX = 192 << 10,
};

enum call_state {
    CALL_MAKE,     /* it is to be made */
    CALL_TOLD,     /* answered here, in words */
    CALL_RECORDED, /* answered, and that is on record */
    CALL_WAIT,     /* for approval */
};

struct call {
    struct agent_call call; /* owns its arguments */
    const char *id;
    enum call_state state;
    bool announced; /* it is on record that it was made */
};

struct turn_calls {
    struct call calls[HISTORY_CALLS_MAX];
    size_t count;
};

static json_t *new_id(struct agent *agent, const char *id, size_t index)
{
    char made[48];
    for (size_t n = index + 1; !*id || strlen(id) > ID_MAX || json_object_get(agent->ids, id);
         n++) {
        snprintf(made, sizeof made, "call_%lld_%zu", (long long)agent->budget.turns, n);
        id = made;
    }
    json_object_set_new(agent->ids, id, json_true());
    return json_string(id);
}

/* The arguments as an object, or the text that is none, and then why. */
static json_t *read_arguments(const char *text, json_t *copy)
{
    char why[JS_WHY_SIZE] = "it is not an object";
    json_t *arguments = NULL;
    if (!*text)
        return json_object();
    if (js_parse(text, strlen(text), &arguments, why) == ERR_OK && json_is_object(arguments))
        return arguments;
    json_decref(arguments);
    json_object_set_new(copy, "why", json_string(why));
    return agent_capped(text, AGENT_EVENT_TEXT_MAX);
}

json_t *agent_calls_copy(struct agent *agent, const json_t *tool_calls)
{
    json_t *copies = json_array();
    size_t index;
    const json_t *call;
    json_array_foreach(tool_calls, index, call)
    {
        const json_t *function = json_object_get(call, "function");
        const char *name = js_str(function, "name", ""), *text = js_str(function, "arguments", "");
        if (index == HISTORY_CALLS_MAX)
            break;
        json_t *copy = json_pack("{s:o, s:o}", "id", new_id(agent, js_str(call, "id", ""), index),
                                 "name", js_string_capped(name, strlen(name), NAME_SHOWN_MAX, "…"));
        json_object_set_new(copy, "arguments", read_arguments(text, copy));
        json_object_set_new(copy, "empty", json_boolean(!*text));
        json_t *extra = json_object_get(call, "extra_content");
        if (extra)
            json_object_set(copy, "extra_content", extra);
        json_array_append_new(copies, copy);
    }
    return copies;
}

static void tell(struct call *call, char *text)
{
    call->call.text = text;
    call->call.is_error = true;
    call->state = CALL_TOLD;
}

static void tell_unknown(struct agent *agent, struct call *call)
{
    AUTOFREE char *near = agent_tools_near(agent->tools, call->call.name);
    const char *search = agent_tools_is_search(agent->tools, AGENT_SEARCH_TOOL)
                             ? " " AGENT_SEARCH_TOOL " finds those that are not listed."
                             : "";
    tell(call, mem_printf("There is no tool named %s.%s%s%s%s Nothing was done.", call->call.name,
                          *near ? " Did you mean: " : "", near, *near ? "?" : "", search));
}

static bool matches(const json_t *patterns, const char *name)
{
    size_t index;
    const json_t *pattern;
    json_array_foreach(patterns, index, pattern)
    {
        const char *text = json_string_value(pattern), *star = strchr(text, '*');
        if (star ? strncmp(text, name, (size_t)(star - text)) == 0 : strcmp(text, name) == 0)
            return true;
    }
    return false;
}

static bool needs_approval(const struct agent *agent, const char *name)
{
    const json_t *settings = agent->task->settings;
    const char *mode = js_str(settings, "approval", "none");
    return strcmp(mode, "all") == 0 ||
           (strcmp(mode, "destructive") == 0 &&
            agent->ops->is_destructive(agent->ops->arg, name)) ||
           matches(json_object_get(settings, "approval_tools"), name);
}

static void wait_for_approval(struct call *call)
{
    if (js_dump_size(call->call.arguments) > APPROVAL_ARGUMENTS_MAX)
        tell(call, mem_printf("This call needs a person's approval, and its arguments are too long "
                              "for that. Nothing was done: call it with less than %d bytes.",
                              APPROVAL_ARGUMENTS_MAX));
    else
        call->state = CALL_WAIT;
}

/* What can't be called is answered here, in words that help the model. */
static void prepare(struct agent *agent, const json_t *copy, bool was_cut, struct call *call)
{
    json_t *arguments = json_object_get(copy, "arguments");
    *call = (struct call){.call = {.id = js_str(copy, "id", ""), .name = js_str(copy, "name", "")},
                          .id = js_str(copy, "id", ""),
                          .state = CALL_MAKE};
    call->call.arguments = json_incref(arguments);
    if (was_cut && (!json_is_object(arguments) || js_bool(copy, "empty", false)))
        tell(call, mem_strdup("Your answer reached its length limit within this call's arguments. "
                              "Nothing was done: say it shorter, or in several calls."));
    else if (!json_is_object(arguments))
        tell(call, mem_printf("The arguments are not a JSON object (%s). Nothing was done.",
                              js_str(copy, "why", "they were cut")));
    else if (agent_tools_is_search(agent->tools, call->call.name)) {
        tell(call, agent_tools_search(agent->tools, js_str(arguments, "query", "")));
        call->call.is_error = false;
    } else if (!agent_tools_has(agent->tools, call->call.name))
        tell_unknown(agent, call);
}

static json_t *shown_arguments(const json_t *arguments)
{
    if (js_dump_size(arguments) <= AGENT_EVENT_TEXT_MAX)
        return json_incref((json_t *)arguments);
    AUTOFREE char *text =
        json_is_string(arguments) ? mem_strdup(json_string_value(arguments)) : js_dump(arguments);
    return agent_capped(text, AGENT_EVENT_TEXT_MAX);
}

static json_t *call_data(struct agent *agent, const struct call *call, json_t *arguments)
{
    return json_pack("{s:s, s:s, s:s, s:o}", "id", call->id, "name", call->call.name, "server",
                     agent->ops->server_of(agent->ops->arg, call->call.name), "arguments",
                     arguments);
}

static bool is_announced_now(const struct call *call)
{
    return (call->state == CALL_MAKE || call->state == CALL_TOLD) && !call->announced;
}

/* Each call is on record before it starts: whoever takes the job over knows of it. The last event's
 * commit stands for all, as they are recorded in order. */
static enum err announce(struct agent *agent, const struct turn_calls *turn)
{
    size_t last = turn->count;
    for (size_t i = 0; i < turn->count; i++)
        if (is_announced_now(&turn->calls[i]))
            last = i;
    for (size_t i = 0; i < turn->count; i++) {
        const struct call *call = &turn->calls[i];
        if (!is_announced_now(call))
            continue;
        json_t *data = call_data(agent, call, shown_arguments(call->call.arguments));
        agent_add_counters(agent, data);
        enum err err = agent->ops->event(agent->ops->arg, "tool_call", data, i == last);
        if (err)
            return err;
    }
    return ERR_OK;
}

static void make(struct agent *agent, struct turn_calls *turn)
{
    struct agent_call batch[AGENT_CALLS_MAX];
    size_t count = 0, at = 0;
    for (size_t i = 0; i < turn->count; i++)
        if (turn->calls[i].state == CALL_MAKE)
            batch[count++] = turn->calls[i].call;
    if (count && agent->ops->call_tools(agent->ops->arg, batch, count, agent->task->deadline))
        agent_tools_refresh(agent->tools);
    for (size_t i = 0; i < turn->count; i++) {
        if (turn->calls[i].state != CALL_MAKE)
            continue;
        turn->calls[i].call = batch[at++];
        if (!turn->calls[i].call.text)
            turn->calls[i].call.text = mem_strdup("");
    }
}

static enum err report(struct agent *agent, const struct turn_calls *turn)
{
    for (size_t i = 0; i < turn->count; i++) {
        const struct call *call = &turn->calls[i];
        if (call->state != CALL_MAKE && call->state != CALL_TOLD)
            continue;
        json_t *data = json_pack("{s:s, s:s, s:b, s:o, s:I}", "id", call->id, "name",
                                 call->call.name, "is_error", call->call.is_error, "content",
                                 agent_capped(call->call.text, AGENT_EVENT_TEXT_MAX), "duration_ms",
                                 (json_int_t)call->call.duration_ms);
        enum err err = agent->ops->event(agent->ops->arg, "tool_result", data, false);
        if (err)
            return err;
    }
    return ERR_OK;
}

static void answer(struct agent *agent, const struct turn_calls *turn)
{
    for (size_t i = 0; i < turn->count; i++) {
        AUTOJSON json_t *text = agent_capped(turn->calls[i].call.text, AGENT_TOOL_TEXT_MAX);
        json_array_append_new(agent->context.messages,
                              agent_message_result(turn->calls[i].id, json_string_value(text)));
    }
}

static size_t count_waiting(const struct turn_calls *turn)
{
    size_t count = 0;
    for (size_t i = 0; i < turn->count; i++)
        count += turn->calls[i].state == CALL_WAIT;
    return count;
}

/* What waits is on record before the run ends: by that event the next attempt knows it. It is the
 * last one of any attempt that waits, also when an earlier one has asked already. */
static enum err wait(struct agent *agent, const struct turn_calls *turn)
{
    json_t *calls = json_array(), *data = json_pack("{s:o}", "calls", calls);
    for (size_t i = 0; i < turn->count; i++)
        if (turn->calls[i].state == CALL_WAIT)
            json_array_append_new(calls, call_data(agent, &turn->calls[i],
                                                   json_incref(turn->calls[i].call.arguments)));
    agent_end_waiting(agent);
    agent_add_counters(agent, data);
    return agent->ops->event(agent->ops->arg, "waiting_approval", data, true);
}

/* One event shows all that waits; what doesn't fit into it is not done. */
static void bound_waiting(struct turn_calls *turn)
{
    size_t bytes = 0;
    for (size_t i = 0; i < turn->count; i++) {
        struct call *call = &turn->calls[i];
        if (call->state != CALL_WAIT)
            continue;
        bytes += js_dump_size(call->call.arguments) + 512;
        if (bytes > APPROVAL_EVENT_MAX)
            tell(call, mem_strdup("Too many calls wait for a person's approval at once. Nothing "
                                  "was done: call it in another turn."));
    }
}

static enum err do_calls(struct agent *agent, struct turn_calls *turn)
{
    bound_waiting(turn);
    enum err err = announce(agent, turn);
    if (!err)
        make(agent, turn);
    if (!err)
        err = report(agent, turn);
    if (!err && count_waiting(turn))
        err = wait(agent, turn);
    else if (!err)
        answer(agent, turn);
    for (size_t i = 0; i < turn->count; i++) {
        json_decref(turn->calls[i].call.arguments);
        free(turn->calls[i].call.text);
    }
    return err;
}

enum err agent_calls_make(struct agent *agent, const json_t *calls, bool was_cut)
{
    struct turn_calls turn = {.count = 0};
    size_t index;
    const json_t *copy;
    json_array_foreach(calls, index, copy)
    {
        struct call *call = &turn.calls[turn.count++];
        prepare(agent, copy, was_cut && index + 1 == json_array_size(calls), call);
        if (call->state == CALL_MAKE && index >= AGENT_CALLS_MAX)
            tell(call, mem_printf("These are too many calls for one turn: at most %d. Nothing was "
                                  "done.",
                                  AGENT_CALLS_MAX));
        if (call->state == CALL_MAKE && needs_approval(agent, call->call.name))
            wait_for_approval(call);
    }
    return do_calls(agent, &turn);
}

static void deny(const json_t *open, struct call *call)
{
    const char *reason = js_str(open, "reason", "");
    free(call->call.text);
    tell(call, mem_printf("The user was asked, and did not allow this call. Nothing was done.%s%s",
                          *reason ? " The reason given: " : "", reason));
}

/* Made before, as far as its record shows. What is no JSON never was, unless the record has it cut;
 * a tool that is gone by now was there then, perhaps. */
static bool may_have_acted(const struct agent *agent, const struct call *call)
{
    const json_t *arguments = call->call.arguments;
    return !agent_tools_is_search(agent->tools, call->call.name) &&
           (json_is_object(arguments) || json_string_length(arguments) >= AGENT_EVENT_TEXT_MAX / 2);
}

/* A call that may have acted is not made a second time, unless that does no harm. */
static void prepare_open(struct agent *agent, const json_t *open, struct call *call)
{
    const char *state = js_str(open, "state", ""), *content = js_str(open, "content", NULL);
    prepare(agent, open, false, call);
    bool can_make = call->state == CALL_MAKE;
    if (content) {
        free(call->call.text);
        call->call.text = mem_strdup(content);
        call->state = CALL_RECORDED;
    } else if (strcmp(state, HISTORY_DENIED) == 0) {
        deny(open, call);
        call->announced = true;
    } else if (strcmp(state, HISTORY_PENDING) == 0) {
        free(call->call.text);
        call->call.text = NULL;
        call->state = CALL_WAIT;
    } else if (strcmp(state, HISTORY_APPROVED) != 0) {
        call->announced = !can_make || !agent->ops->is_repeatable(agent->ops->arg, call->call.name);
        if (call->announced && may_have_acted(agent, call)) {
            free(call->call.text);
            tell(call, mem_strdup(history_unknown_outcome));
        }
    }
}

enum err agent_calls_resume(struct agent *agent, const json_t *open)
{
    struct turn_calls turn = {.count = 0};
    size_t index, made = 0;
    const json_t *one;
    json_array_foreach(open, index, one)
    {
        struct call *call = &turn.calls[turn.count];
        if (turn.count == HISTORY_CALLS_MAX)
            break;
        turn.count++;
        prepare_open(agent, one, call);
        if (call->state == CALL_MAKE && ++made > AGENT_CALLS_MAX)
            tell(call, mem_strdup("These were too many calls for one turn. Nothing was done."));
    }
    return do_calls(agent, &turn);
}
