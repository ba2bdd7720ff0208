/* JSON-RPC 2.0 over lines: one message a line, requests answered one at a time in their order.
 * While one is being answered the loop goes on reading, so that its cancellation is noticed. */
#ifndef MCPBUS_GOOGLE_RPC_H
#define MCPBUS_GOOGLE_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "libcommon/err.h"
#include "libcommon/loop.h"

enum {
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_NO_METHOD = -32601,
    RPC_INVALID_PARAMS = -32602,
    RPC_INTERNAL = -32603,
    RPC_NO_RESOURCE = -32002, /* of MCP's older era */
    RPC_CANCELLED = 1,        /* not an error on the wire: the request gets no answer at all */
};

enum { RPC_LINE_MAX = 4 * 1024 * 1024, RPC_BATCH_MAX = 64 };

struct rpc_error {
    int code;
    char message[256];
    json_t *data; /* consumed; NULL: none */
};

/* Answers a request: a new result; or NULL with the error filled. For a notification (`id` NULL)
 * what it returns is dropped. `params` is an object, {} when there were none. */
typedef json_t *rpc_method_fn(void *arg, const char *method, const json_t *params, const json_t *id,
                              struct rpc_error *error);

/* The answer to one line, new; NULL when it takes none. */
json_t *rpc_answer(const char *line, size_t len, rpc_method_fn *fn, void *arg);

struct rpc;

/* Reads from `in` and writes to `out`, both borrowed. */
struct rpc *rpc_new(struct loop *loop, int in, int out, rpc_method_fn *fn, void *arg);
void rpc_destroy(struct rpc **rpc_p);

/* Answers requests until the input's end. ERR_PEER_LOST: `out` can't be written; ERR_INTERNAL: `in`
 * can't be read. */
MUST_CHECK enum err rpc_serve(struct rpc *rpc);

/* From within a method: has the client said notifications/cancelled about the request? */
bool rpc_cancelled(void *rpc);
/* From within a method: sends a notification; `params` is consumed. */
void rpc_notify(struct rpc *rpc, const char *method, json_t *params);

#endif
