/* How the program gets authorized where a server demands it, out of the scenario's context. */
#ifndef MCPBUS_CONFORMANCE_MCP_CLIENT_AUTH_H
#define MCPBUS_CONFORMANCE_MCP_CLIENT_AUTH_H

#include <jansson.h>

#include "libmcp/mcp_oauth.h"

/* The grant for a server's demands, or NULL; it lives until mcp_client_auth_end. What the server's
 * `spec` says by itself ("auth") may be added to it. `context`: of the scenario, may be NULL. */
const struct mcp_oauth_grant *mcp_client_auth(struct loop *loop,
                                              struct http_client *(*http)(void *arg), void *arg,
                                              const json_t *context, json_t *spec);
void mcp_client_auth_end(void);

#endif
