/* The agent loop of one run: ask the model, call the tools it wants, feed the results back, until
 * it stops. Plain code over a table of what it needs, so that tests can stand in. */
#ifndef MCPBUS_WORKER_AGENT_H
#define MCPBUS_WORKER_AGENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "libcommon/err.h"

enum {
    AGENT_TOOL_TEXT_MAX = 64 << 10,  /* of a tool's result, to the model */
    AGENT_EVENT_TEXT_MAX = 16 << 10, /* of a text in an event */
    AGENT_RESULT_MAX = 512 << 10,
    AGENT_RESULT_JSON_MAX = 3 << 20,
    AGENT_CALLS_MAX = 64,               /* tool calls that are made in one turn */
    AGENT_REQUEST_MAX = 6 << 20,        /* JSON of the conversation */
    AGENT_CONVERSATION_MAX = 256 << 10, /* bytes of earlier turns */
};

/* One tool call of the model's, as agent_ops.call_tools gets and fills it. */
struct agent_call {
    const char *id, *name; /* borrowed */
    json_t *arguments;     /* an object; borrowed */
    bool is_error;
    char *text; /* the result; free() it. Not NULL: the call is answered already */
    int64_t duration_ms;
};

struct agent_ops {
    void *arg;
    int64_t (*now)(void *arg); /* milliseconds */
    /* Asks the model: a frame as in run.h without its "t" (borrowed) → the loop's answer.
     * ERR_TIMEOUT: not by `deadline`. Any other error: there is no one to ask. */
    enum err (*ask)(void *arg, const json_t *request, int64_t deadline, json_t **ret_answer);
    /* Tells an event; `data` is consumed. `committed`: returns only when it is recorded. */
    enum err (*event)(void *arg, const char *type, json_t *data, bool committed);
    /* The server's name for the tool, for events; "" when there is no such tool. Borrowed. */
    const char *(*server_of)(void *arg, const char *tool_name);
    /* Does a second call of it no harm? */
    bool (*is_repeatable)(void *arg, const char *tool_name);
    /* Does its server call it destructive? */
    bool (*is_destructive)(void *arg, const char *tool_name);
    /* Executes those calls that have no text, at once; ends by `deadline`. True: the content of the
     * task's `tools` has changed. */
    bool (*call_tools)(void *arg, struct agent_call *calls, size_t count, int64_t deadline);
};

struct agent_task {
    const char *message;
    const char *notes;   /* what the model should know (servers that could not be started), or "" */
    const json_t *tools; /* those that the run may use, in the form of chat completions */
    /* Of the job frame (see run.h); each may be NULL. */
    const json_t *settings, *options, *conversation, *user, *usage, *history;
    int64_t deadline; /* clock of ops->now: the soft end */
    int64_t limit_ms; /* what that deadline means, for the message */
};

/* The run's end: {outcome, result?, error_message?, token_usage}, as in run.h. NULL: nobody is
 * there to hear it. */
json_t *agent_run(const struct agent_task *task, const struct agent_ops *ops);

#endif
