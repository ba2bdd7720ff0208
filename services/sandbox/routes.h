/* Which handler answers which call. */
#ifndef MCPBUS_SANDBOX_ROUTES_H
#define MCPBUS_SANDBOX_ROUTES_H

#include "services/sandbox/sandbox.h"

/* http_server's handler; `arg` is the sandbox. */
void routes_handle(void *arg, struct http_request *request);
/* A call within the batch `outer`: its answer goes to `inner`. */
void routes_handle_inner(const struct call *outer, const char *method, struct inner *inner);

#endif
