/* A model that says what a script says, tools that answer with their name, and events that are
 * kept: what the agent's tests put in the place of its loop. */
#ifndef MCPBUS_TESTS_AGENT_FIXTURE_H
#define MCPBUS_TESTS_AGENT_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/agent.h"
#include "services/worker/history.h"
#include "tests/unit/unit.h"

struct script {
    const char *const *answers; /* JSON of the loop's answers; the last one again and again */
    size_t asked, committed, executed;
    int64_t now, step;     /* each answer takes `step` */
    json_t *requests;      /* all of them */
    json_t *events;        /* [{type, data}] */
    char log[8192];        /* what happened, in order */
    size_t event_fails_at; /* the number of the event that nobody hears, from 1; 0: none */
    size_t result_bytes;   /* of a tool's text; 0: its name */
    struct agent_task task;
    json_t *tools;
};

#define USAGE \
    "\"usage\":{\"input_tokens\":10,\"output_tokens\":2,\"total_tokens\":12,\"cached_tokens\":4}"
#define CALL(id, name, arguments)                                             \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name \
    "\",\"arguments\":\"" arguments "\"}}"
#define SAID(content, calls, reason)                                                      \
    "{\"message\":{\"role\":\"assistant\",\"content\":" content ",\"tool_calls\":[" calls \
    "]}," USAGE ",\"finish_reason\":\"" reason "\"}"
#define CALLS(calls) SAID("null", calls, "tool_calls")
#define TEXT(text) SAID("\"" text "\"", "", "stop")

static inline int64_t script_now(void *arg)
{
    return ((struct script *)arg)->now;
}

static inline void script_note(struct script *script, const char *what, const char *name)
{
    size_t len = strlen(script->log);
    snprintf(script->log + len, sizeof script->log - len, "%s:%.60s ", what, name);
}

static inline enum err script_ask(void *arg, const json_t *request, int64_t deadline,
                                  json_t **ret_answer)
{
    struct script *script = arg;
    json_array_append_new(script->requests, json_deep_copy(request));
    script->now += script->step;
    if (script->now >= deadline)
        return ERR_TIMEOUT;
    const char *text = script->answers[script->asked];
    if (script->answers[script->asked + 1])
        script->asked++;
    *ret_answer = json_loads(text, 0, NULL);
    assert_non_null(*ret_answer);
    return ERR_OK;
}

static inline enum err script_event(void *arg, const char *type, json_t *data, bool committed)
{
    struct script *script = arg;
    size_t number = json_array_size(script->events) + 1;
    if (number == script->event_fails_at) {
        json_decref(data);
        return ERR_PEER_LOST;
    }
    script->committed += committed;
    script_note(script, type, js_str(data, "name", js_str(data, "text", "")));
    assert_true(js_dump_size(data) < 256 << 10);
    json_array_append_new(script->events, json_pack("{s:s, s:o}", "type", type, "data", data));
    return ERR_OK;
}

static inline const char *script_server_of(void *arg, const char *tool_name)
{
    (void)arg;
    return strncmp(tool_name, "s__", 3) == 0 ? "s" : "";
}

static inline bool script_is_repeatable(void *arg, const char *tool_name)
{
    (void)arg;
    return strcmp(tool_name, "s__read") == 0;
}

static inline bool script_is_destructive(void *arg, const char *tool_name)
{
    (void)arg;
    return strcmp(tool_name, "s__delete") == 0;
}

static inline bool script_call_tools(void *arg, struct agent_call *calls, size_t count,
                                     int64_t deadline)
{
    struct script *script = arg;
    (void)deadline;
    for (size_t i = 0; i < count; i++) {
        if (calls[i].text)
            continue;
        assert_true(json_is_object(calls[i].arguments));
        script_note(script, "call", calls[i].name);
        calls[i].text = mem_alloc(script->result_bytes + 100);
        memset(calls[i].text, 'r', script->result_bytes);
        if (!script->result_bytes)
            snprintf(calls[i].text, 100, "%s", calls[i].name);
        script->executed++;
    }
    return false;
}

static inline void script_add_tool(struct script *script, const char *name, const char *description)
{
    json_array_append_new(script->tools,
                          json_pack("{s:s, s:{s:s, s:s, s:{s:s}}}", "type", "function", "function",
                                    "name", name, "description", description, "parameters", "type",
                                    "object"));
}

static inline void script_init(struct script *script, const char *const *answers)
{
    static const char *const names[] = {"s__a",    "s__b",    "s__c",     "s__d",
                                        "s__read", "s__send", "s__delete"};
    *script = (struct script){.answers = answers,
                              .requests = json_array(),
                              .events = json_array(),
                              .tools = json_array()};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        script_add_tool(script, names[i], "A tool.");
    script->task = (struct agent_task){.message = "do it",
                                       .notes = "",
                                       .tools = script->tools,
                                       .deadline = 1000,
                                       .limit_ms = 1000};
}

static inline void script_fini(struct script *script)
{
    json_decref(script->requests);
    json_decref(script->events);
    json_decref(script->tools);
}

static inline json_t *script_run(struct script *script)
{
    const struct agent_ops ops = {script,
                                  script_now,
                                  script_ask,
                                  script_event,
                                  script_server_of,
                                  script_is_repeatable,
                                  script_is_destructive,
                                  script_call_tools};
    return agent_run(&script->task, &ops);
}

static inline const json_t *script_last_request(const struct script *script)
{
    return json_array_get(script->requests, json_array_size(script->requests) - 1);
}

/* The text of the last request's message at `index`; negative: from the end. */
static inline const char *script_said(const struct script *script, long index)
{
    const json_t *messages = json_object_get(script_last_request(script), "messages");
    size_t at = index < 0 ? json_array_size(messages) - (size_t)-index : (size_t)index;
    return js_str(json_array_get(messages, at), "content", "");
}

static inline bool is_legal_name(const char *name)
{
    return *name && strlen(name) <= 64 &&
           !name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")];
}

/* As strict as an endpoint may be: each call is answered once, in order, right behind it; names are
 * legal, arguments an object; the system speaks first; a user speaks before any assistant. */
static inline void assert_conversation(const json_t *request)
{
    const json_t *messages = json_object_get(request, "messages"), *calls = NULL;
    size_t index, answered = 0, users = 0;
    const json_t *message;
    assert_true(json_array_size(json_object_get(request, "tools")) <= 128);
    json_array_foreach(messages, index, message)
    {
        const char *role = js_str(message, "role", "");
        assert_int_equal(strcmp(role, "system") == 0, index == 0);
        if (strcmp(role, "tool") == 0) {
            const json_t *call = json_array_get(calls, answered++);
            assert_non_null(call);
            assert_string_equal(js_str(message, "tool_call_id", "-"), js_str(call, "id", ""));
            assert_true(json_is_string(json_object_get(message, "content")));
            continue;
        }
        assert_int_equal(answered, json_array_size(calls));
        answered = 0;
        calls = json_object_get(message, "tool_calls");
        users += strcmp(role, "user") == 0;
        size_t at;
        const json_t *call;
        json_array_foreach(calls, at, call)
        {
            const json_t *function = json_object_get(call, "function");
            AUTOJSON json_t *arguments = json_loads(js_str(function, "arguments", ""), 0, NULL);
            assert_true(json_is_object(arguments));
            assert_true(is_legal_name(js_str(function, "name", "")));
            assert_true(users > 0);
        }
    }
    assert_int_equal(answered, json_array_size(calls));
    assert_true(users > 0);
}

static inline void assert_conversations(const struct script *script)
{
    size_t index;
    const json_t *request;
    json_array_foreach(script->requests, index, request) assert_conversation(request);
}

#endif
