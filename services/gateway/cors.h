/* Cross-origin rules (Fetch standard): which origins may call. Read-only once made. */
#ifndef MCPBUS_GATEWAY_CORS_H
#define MCPBUS_GATEWAY_CORS_H

#include <stdbool.h>

struct cors;

/* Is it "*" or origins (scheme://host[:port], or null) with commas? */
bool cors_is_valid(const char *origins);
/* "*" or origins with commas. */
struct cors *cors_new(const char *origins);
void cors_destroy(struct cors **cors_p);

/* The value of Access-Control-Allow-Origin for a request of this origin (may be NULL): "*", the
 * origin itself, or NULL for none. */
const char *cors_allow(const struct cors *cors, const char *origin);
/* Does the answer depend on the origin (Vary)? */
bool cors_varies(const struct cors *cors);

#define CORS_METHODS "GET, HEAD, POST, DELETE, OPTIONS"
#define CORS_HEADERS                                                                      \
    "Authorization, Content-Type, Accept, Idempotency-Key, Last-Event-ID, X-Request-Id, " \
    "traceparent, tracestate"
#define CORS_EXPOSED "X-Request-Id, Retry-After"
#define CORS_MAX_AGE "600"

#endif
