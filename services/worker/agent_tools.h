/* The tools that a model is offered: all of a run's, or, when a request can't hold them, the first
 * in the order of the configuration and a tool that searches the others. Pure. */
#ifndef MCPBUS_WORKER_AGENT_TOOLS_H
#define MCPBUS_WORKER_AGENT_TOOLS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    AGENT_TOOLS_OFFERED_MAX = 128, /* chat completions take no more */
    AGENT_TOOLS_FOUND_MAX = 32,    /* of them, found by searching */
    AGENT_TOOLS_MATCHES_MAX = 10,  /* of one search */
};
#define AGENT_SEARCH_TOOL "search_tools"

struct agent_tools;
/* `all`: in the form of chat completions (borrowed). At most `max_count` are offered, of at most
 * `max_bytes` in all. */
struct agent_tools *agent_tools_new(const json_t *all, size_t max_count, size_t max_bytes);
void agent_tools_destroy(struct agent_tools **tools_p);
/* The content of `all` has changed. */
void agent_tools_refresh(struct agent_tools *tools);

/* What goes with the next question; borrowed until the next search. */
const json_t *agent_tools_offered(const struct agent_tools *tools);
/* Is it one of the run's tools, offered or not? */
bool agent_tools_has(const struct agent_tools *tools, const char *name);
/* Is it the search, and is there one? */
bool agent_tools_is_search(const struct agent_tools *tools, const char *name);

/* Offers the tools that fit the query best; the text names them, for the model. free() it. */
char *agent_tools_search(struct agent_tools *tools, const char *query);

/* Names like this one that there are: "a, b", or ""; free() it. */
char *agent_tools_near(const struct agent_tools *tools, const char *name);

#endif
