/* The tools of one run: its servers, the table of names that the model says, the calls and their
 * progress. A part of the run's process; everything is on its thread and its loop, and only
 * run_tools_new and run_tools_call wait. */
#ifndef MCPBUS_WORKER_RUN_TOOLS_H
#define MCPBUS_WORKER_RUN_TOOLS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "libcommon/err.h"
#include "libcommon/loop.h"
#include "services/worker/agent.h"
#include "services/worker/tool_names.h"

struct run_tools;

struct run_tools_options {
    struct loop *loop;
    json_t *job; /* the job frame (see run.h); borrowed, its secrets are taken out */
    /* Tells an event that nobody waits for; `data` is consumed. An error: nobody is there. */
    enum err (*event)(void *arg, const char *type, json_t *data);
    /* Sends a frame (consumed) to the worker's loop; the same errors. */
    enum err (*send)(void *arg, json_t *frame);
    void *arg;
};

/* Finds the tools of the servers that the job may use: as they are remembered, else by starting the
 * server, by `deadline` (clock_ms). A server that can't start is told to the events and in the
 * notes. ERR_PEER_LOST: nobody hears the events. */
MUST_CHECK enum err run_tools_new(const struct run_tools_options *options, int64_t deadline,
                                  struct run_tools **ret_tools);
/* Stops the servers. */
void run_tools_destroy(struct run_tools **tools_p);

/* What the model should know of its servers: those that are missing, what they say of themselves;
 * or "". */
const char *run_tools_notes(const struct run_tools *tools);
/* All tools in the form of chat completions, in the order of the configuration, but with their
 * `parameters` as text. Borrowed; it stays the same array. */
json_t *run_tools_list(struct run_tools *tools);
/* A list of such tools as the model gets it. */
json_t *run_tools_expand(const json_t *list);
/* The tool that the model calls `name`; NULL: there is none. Borrowed until run_tools_call. */
const struct tool *run_tools_find(const struct run_tools *tools, const char *name);
/* The server's name for the tool, for events; "" when there is no such tool. Borrowed. */
const char *run_tools_server(const struct run_tools *tools, const char *name);

/* Executes those calls that have no text, at once; ends by `deadline`. A server starts at its first
 * call. True: a server's tools have changed meanwhile, and the list with them. */
MUST_CHECK bool run_tools_call(struct run_tools *tools, struct agent_call *calls, size_t count,
                               int64_t deadline);

#endif
