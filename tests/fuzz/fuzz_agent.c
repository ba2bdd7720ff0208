/* A whole run: {"events": […], "answers": […], "tools": n, "context": n}. Whatever a model answers
 * and a history holds, the run ends, and each question that it asks is one that an endpoint takes:
 * a call is answered once, in order, right behind it; ids are distinct, names legal, arguments
 * objects. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/agent.h"
#include "services/worker/history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TURNS_MAX = 12, TOOLS_SHOWN = 200 };

struct world {
    const json_t *answers;
    size_t asked;
};

static int64_t now(void *arg)
{
    (void)arg;
    return 0;
}

static void check_call(const json_t *call)
{
    const json_t *function = json_object_get(call, "function");
    const char *name = js_str(function, "name", ""), *text = js_str(function, "arguments", "");
    AUTOJSON json_t *arguments = json_loads(text, 0, NULL);
    assert(json_is_object(arguments));
    assert(*name && strlen(name) <= 64 &&
           !name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")]);
}

static void check_request(const json_t *request)
{
    const json_t *calls = NULL, *message, *call;
    size_t index, at, answered = 0;
    assert(json_array_size(json_object_get(request, "tools")) <= 128);
    json_array_foreach(json_object_get(request, "messages"), index, message)
    {
        if (strcmp(js_str(message, "role", ""), "tool") == 0) {
            call = json_array_get(calls, answered++);
            assert(call);
            assert(strcmp(js_str(call, "id", "-"), js_str(message, "tool_call_id", "")) == 0);
            continue;
        }
        assert(answered == json_array_size(calls));
        answered = 0;
        calls = json_object_get(message, "tool_calls");
        json_array_foreach(calls, at, call) check_call(call);
    }
    assert(answered == json_array_size(calls));
}

static enum err ask(void *arg, const json_t *request, int64_t deadline, json_t **ret_answer)
{
    struct world *world = arg;
    (void)deadline;
    check_request(request);
    json_t *answer = json_array_get(world->answers, world->asked++);
    *ret_answer = json_is_object(answer) ? json_incref(answer)
                                         : json_pack("{s:{s:s, s:s}}", "message", "role",
                                                     "assistant", "content", "the end");
    assert(world->asked < 200);
    return ERR_OK;
}

static enum err event(void *arg, const char *type, json_t *data, bool committed)
{
    (void)arg;
    (void)type;
    (void)committed;
    assert(data && js_dump_size(data) < 256 << 10);
    json_decref(data);
    return ERR_OK;
}

static const char *server_of(void *arg, const char *tool_name)
{
    (void)arg;
    return strncmp(tool_name, "s__", 3) == 0 ? "s" : "";
}

static bool is_repeatable(void *arg, const char *tool_name)
{
    (void)arg;
    return strcmp(tool_name, "s__1") == 0;
}

static bool is_destructive(void *arg, const char *tool_name)
{
    (void)arg;
    return strcmp(tool_name, "s__2") == 0;
}

static bool call_tools(void *arg, struct agent_call *calls, size_t count, int64_t deadline)
{
    (void)arg;
    (void)deadline;
    for (size_t i = 0; i < count; i++) {
        assert(!calls[i].text && json_is_object(calls[i].arguments));
        calls[i].text = mem_strdup("a result");
    }
    return false;
}

static json_t *invent_tools(int64_t count)
{
    json_t *tools = json_array();
    for (int64_t i = 0; i < count && i < TOOLS_SHOWN; i++) {
        AUTOFREE char *name = mem_printf("s__%lld", (long long)i);
        json_array_append_new(tools, json_pack("{s:s, s:{s:s, s:s}}", "type", "function",
                                               "function", "name", name, "description", "A tool"));
    }
    return tools;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTOJSON json_t *input = NULL;
    if (js_parse((const char *)data, size, &input, NULL))
        return 0;
    AUTOJSON json_t *history = json_array();
    AUTOJSON json_t *tools = invent_tools(js_int(input, "tools", 4));
    AUTOJSON json_t *settings =
        json_pack("{s:i, s:I, s:s}", "max_turns", TURNS_MAX, "context_tokens",
                  (json_int_t)js_int(input, "context", 100000), "approval", "destructive");
    struct world world = {.answers = json_object_get(input, "answers")};
    size_t index;
    const json_t *one;
    json_array_foreach(json_object_get(input, "events"), index, one) history_add(history, one);
    const struct agent_ops ops = {&world,         now,       ask, event, server_of, is_repeatable,
                                  is_destructive, call_tools};
    const struct agent_task task = {.message = "the task",
                                    .notes = "",
                                    .tools = tools,
                                    .settings = settings,
                                    .options = json_object_get(input, "options"),
                                    .conversation = json_object_get(input, "conversation"),
                                    .user = json_object_get(input, "user"),
                                    .usage = json_object_get(input, "usage"),
                                    .history = history,
                                    .deadline = 1000,
                                    .limit_ms = 1000};
    AUTOJSON json_t *end = agent_run(&task, &ops);
    assert(end && *js_str(end, "outcome", ""));
    return 0;
}
