/* What mcp_oauth's files share. */
#ifndef MCPBUS_MCP_OAUTH_INTERNAL_H
#define MCPBUS_MCP_OAUTH_INTERNAL_H

#include "libmcp/mcp_oauth.h"

/* An "auth" of the configuration, read. */
struct mcp_oauth_config {
    struct mcp_oauth_client client;
    char *scope; /* the most that is ever asked for; NULL: what the server says */
    char *issuer, *token_url;
};
MUST_CHECK enum err mcp_oauth_config_read(const json_t *auth, const char *server_url,
                                          struct mcp_oauth_config *ret_config,
                                          char ret_why[MCP_OAUTH_WHY_SIZE]);
void mcp_oauth_config_fini(struct mcp_oauth_config *config);

#endif
