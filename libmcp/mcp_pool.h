/* All MCP servers of a run, and the one place where the run waits: poll over their pipes and one
 * more descriptor (the run's socket to the loop). */
#ifndef MCPBUS_MCP_POOL_H
#define MCPBUS_MCP_POOL_H

#include "libmcp/mcp_client.h"

enum { MCP_SERVERS_MAX = 32 };

struct mcp_pool;
/* Starts the servers of `specs` ([{name, …}]: see mcp_client_new), all at once. */
struct mcp_pool *mcp_pool_new(const json_t *specs, int64_t start_deadline,
                              mcp_progress_fn *on_progress, void *arg);
/* Stops the servers (see mcp_stdio_stop). */
void mcp_pool_destroy(struct mcp_pool **pool_p);

size_t mcp_pool_count(const struct mcp_pool *pool);
struct mcp_client *mcp_pool_client(const struct mcp_pool *pool, size_t index);
bool mcp_pool_starting(const struct mcp_pool *pool); /* is any server still starting? */

/* Waits for something to do until `deadline` (clock_ms) at most, and does it. True when `extra_fd`
 * (−1: none) has something to read. */
bool mcp_pool_turn(struct mcp_pool *pool, int extra_fd, int64_t deadline);

#endif
