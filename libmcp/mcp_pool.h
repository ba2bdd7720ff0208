/* All MCP servers of a run, on its loop. */
#ifndef MCPBUS_MCP_POOL_H
#define MCPBUS_MCP_POOL_H

#include "libcommon/http_client.h"
#include "libmcp/mcp_client.h"

enum { MCP_SERVERS_MAX = 32 };

struct mcp_pool_options {
    struct loop *loop;
    const json_t *specs; /* [{name, …}]: see mcp_client_options; kept */
    const json_t *known; /* {name: what mcp_client_known gave}, or NULL */
    struct http_client_options http;
    mcp_progress_fn *on_progress;
    void *arg;
    int64_t rest_ms; /* see mcp_client_options */
};

struct mcp_pool;
/* Starts nothing. The process becomes one that reaps every child that ends, what servers have
 * orphaned included. */
struct mcp_pool *mcp_pool_new(const struct mcp_pool_options *options);
/* Stops the servers, all at once; the loop runs meanwhile, for about a second at most. Not from
 * within a callback. */
void mcp_pool_destroy(struct mcp_pool **pool_p);

size_t mcp_pool_count(const struct mcp_pool *pool);
struct mcp_client *mcp_pool_client(const struct mcp_pool *pool, size_t index);

/* Lists the tools of all whose list is not known or stale, all at once, and waits for it. */
void mcp_pool_list(struct mcp_pool *pool, int64_t deadline);

#endif
