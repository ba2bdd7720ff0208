/* One MCP server of a run: initialize, the list of its tools, calls; over mcp_stdio. All calls
 * return at once; mcp_pool drives them. Times are clock_ms. */
#ifndef MCPBUS_MCP_CLIENT_H
#define MCPBUS_MCP_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "libmcp/mcp_stdio.h"

/* One call of a tool; owned by the caller, at the same place until `done`. */
struct mcp_call {
    const char *tool;  /* the server's name for it; borrowed */
    json_t *arguments; /* borrowed */
    size_t text_max;   /* of the result */
    int64_t deadline;
    int64_t started, ended; /* filled in */
    char *text;             /* of the result; free() it */
    int context;            /* the caller's, for on_progress */
    bool done, is_error;
};

enum { MCP_TOOLS_MAX = 2048 }; /* of one server */

enum mcp_state { MCP_STARTING, MCP_READY, MCP_FAILED };

typedef void mcp_progress_fn(void *arg, const struct mcp_call *call, const json_t *params);

struct mcp_client;
/* `spec`: {name, command, args, env} or {name, unavailable} (borrowed). Never fails: a server that
 * could not be started is in state FAILED. */
struct mcp_client *mcp_client_new(const json_t *spec, int64_t start_deadline,
                                  mcp_progress_fn *on_progress, void *arg);
void mcp_client_destroy(struct mcp_client **client_p);

const char *mcp_client_name(const struct mcp_client *client);
enum mcp_state mcp_client_state(const struct mcp_client *client);
const char *mcp_client_why(const struct mcp_client *client); /* of FAILED */
/* Its tools as it listed them: [{name, description, inputSchema}], borrowed. */
json_t *mcp_client_tools(const struct mcp_client *client);
struct mcp_stdio *mcp_client_stdio(const struct mcp_client *client); /* NULL: never started */

void mcp_client_call(struct mcp_client *client, struct mcp_call *call);
/* Handles the lines that came, and what has passed its deadline. */
void mcp_client_turn(struct mcp_client *client, int64_t now);
/* The next deadline of anything awaited, or `none`. */
int64_t mcp_client_deadline(const struct mcp_client *client, int64_t none);

#endif
