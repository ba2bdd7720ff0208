/* The MCP server: its methods over JSON-RPC (rpc.h), in both eras: protocol versions 2024-11-05 to
 * 2025-11-25, which begin with initialize, and 2026-07-28, where each request says in its _meta
 * what it is (server/discover). The two may be mixed. */
#ifndef MCPBUS_GOOGLE_SERVER_H
#define MCPBUS_GOOGLE_SERVER_H

#include "services/google/api.h"
#include "services/google/config.h"
#include "services/google/rpc.h"

struct server;

/* `config` is borrowed and must live as long. */
struct server *server_new(struct loop *loop, const struct google_config *config);
void server_destroy(struct server **server_p);

/* Where progress goes, and cancellations come from; NULL: nowhere. */
void server_attach(struct server *server, struct rpc *rpc);

/* `arg` is the server. */
rpc_method_fn server_method;

#endif
