/* The MCP server: its methods over JSON-RPC (rpc.h). Protocol versions 2024-11-05 to 2025-11-25. */
#ifndef MCPBUS_GOOGLE_SERVER_H
#define MCPBUS_GOOGLE_SERVER_H

#include "services/google/api.h"
#include "services/google/config.h"
#include "services/google/rpc.h"

struct server;

/* `config` is borrowed and must live as long. */
struct server *server_new(const struct google_config *config);
void server_destroy(struct server **server_p);

/* `arg` is the server. */
rpc_method_fn server_method;

#endif
