/* The protocol versions of MCP, and what the newer era adds to requests and results. Pure. */
#ifndef MCPBUS_GOOGLE_ERA_H
#define MCPBUS_GOOGLE_ERA_H

#include <jansson.h>
#include <stdbool.h>

#include "libcommon/err.h"
#include "services/google/rpc.h"

#define ERA_MODERN_VERSION "2026-07-28"
enum { ERA_UNSUPPORTED_VERSION = -32022 };

/* The version of the older era that answers a client which asked for `asked`. */
const char *era_negotiate(const char *asked);

/* Is the request one of the newer era (its _meta says so)? ERR_INVALID: it is, and malformed or of
 * a version unknown here; `error` is filled. */
MUST_CHECK enum err era_read(const json_t *params, bool *ret_modern, struct rpc_error *error);

/* Adds to a result what the newer era wants in it. `ttl_ms` −1: not one that may be kept. */
void era_complete(json_t *result, int64_t ttl_ms);

json_t *era_server_info(void);        /* new */
json_t *era_supported_versions(void); /* new */

#endif
