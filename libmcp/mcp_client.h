/* One MCP server as a client sees it, of either era: versions 2024-11-05 to 2025-11-25 (initialize)
 * and 2026-07-28 (stateless). It starts when it is first needed: to list its tools when they are
 * not known, else at the first call. Nothing here blocks; wait on the loop. Times are clock_ms. */
#ifndef MCPBUS_MCP_CLIENT_H
#define MCPBUS_MCP_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "libcommon/trace.h"
#include "libmcp/mcp_transport.h"

enum mcp_call_kind { MCP_CALL_TOOL, MCP_READ_RESOURCE, MCP_LIST_RESOURCES };

/* One call; owned by the caller, at the same place until `done`. */
struct mcp_call {
    enum mcp_call_kind kind;
    const char *tool;  /* MCP_CALL_TOOL: the server's name for it; borrowed */
    json_t *arguments; /* its arguments; MCP_READ_RESOURCE: {uri}; borrowed */
    size_t text_max;   /* of the result */
    int64_t deadline;
    /* W3C trace context that the server is given in _meta (SEP-414); "" and NULL: none. */
    char traceparent[TRACE_PARENT_SIZE];
    const char *tracestate;
    int64_t started, ended; /* filled in */
    char *text;             /* of the result; free() it */
    int context;            /* the caller's, for on_progress */
    bool done, is_error;
};

enum { MCP_TOOLS_MAX = 2048 }; /* of one server */

enum mcp_state { MCP_IDLE, MCP_STARTING, MCP_READY, MCP_FAILED };

typedef void mcp_progress_fn(void *arg, const struct mcp_call *call, const json_t *params);

struct mcp_client_options {
    struct loop *loop;
    const json_t *spec; /* see mcp_transport_options, or {name, unavailable}; kept */
    /* What mcp_client_known once gave, or NULL. May hold an era alone. With `stale` the tools are
     * listed anew as soon as the server has started. */
    const json_t *known;
    struct http_client *(*http)(void *arg); /* for servers with a url, when one starts */
    const struct mcp_oauth_grant *grant;    /* see mcp_transport_options */
    mcp_progress_fn *on_progress;           /* may be NULL */
    void *arg;
    /* A server that was started for its list alone, and not called within this time, ends until it
     * is: a thousand runs that wait for their models need no thousand servers. 0: it stays. */
    int64_t rest_ms;
    /* How long a process may be silent to server/discover; 0: 3 s. */
    int64_t probe_ms;
};

struct mcp_client;
/* Never fails: a server that is unavailable is in state FAILED. */
struct mcp_client *mcp_client_new(const struct mcp_client_options *options);
/* Ends its process or session; kindly only when mcp_client_stopped was waited for. Not from within
 * a callback. */
void mcp_client_destroy(struct mcp_client **client_p);
/* No call may be under way. Again and again until it is true (20 ms apart will do): SIGTERM and
 * SIGKILL follow as the server takes its time. */
void mcp_client_stop(struct mcp_client *client);
bool mcp_client_stopped(struct mcp_client *client);

/* Sees to it that the tools are listed as they are now: starts the server when they are not known,
 * lists them anew when it said that they have changed. Wait until it is not busy; a start that is
 * not done by `deadline` has failed. */
void mcp_client_list(struct mcp_client *client, int64_t deadline);
bool mcp_client_busy(const struct mcp_client *client);
/* Have they to be listed again? */
bool mcp_client_stale(const struct mcp_client *client);

const char *mcp_client_name(const struct mcp_client *client);
enum mcp_state mcp_client_state(const struct mcp_client *client);
const char *mcp_client_why(const struct mcp_client *client); /* of FAILED */
/* "2025-06-18"…; "" before it is agreed on. */
const char *mcp_client_version(const struct mcp_client *client);
/* Its tools as it listed them, or as they are remembered: [{name, description, inputSchema …}],
 * borrowed until the loop goes on. */
json_t *mcp_client_tools(struct mcp_client *client);
/* Keeps them as text until they are asked for again: as JSON values they take seven times that. */
void mcp_client_pack_tools(struct mcp_client *client);
bool mcp_client_has_resources(const struct mcp_client *client);
/* Counts the lists that came from the server itself: when it grows, there is news to remember. */
unsigned mcp_client_lists(const struct mcp_client *client);
/* {era, tools, resources, changes, instructions?, ttl_ms?, private?}: what a later client of the
 * same server can begin with. NULL: nothing is known. */
json_t *mcp_client_known(struct mcp_client *client);
const char *mcp_client_instructions(const struct mcp_client *client); /* "" when there are none */

/* Does the call, after a start if need be. It ends by its deadline. */
void mcp_client_call(struct mcp_client *client, struct mcp_call *call);

#endif
