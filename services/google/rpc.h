/* JSON-RPC 2.0 over lines: one message a line, requests answered in their order. */
#ifndef MCPBUS_GOOGLE_RPC_H
#define MCPBUS_GOOGLE_RPC_H

#include <jansson.h>
#include <stddef.h>

#include "libcommon/err.h"

enum {
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_NO_METHOD = -32601,
    RPC_INVALID_PARAMS = -32602,
};

enum { RPC_LINE_MAX = 4 * 1024 * 1024, RPC_BATCH_MAX = 64 };

struct rpc_error {
    int code;
    char message[256];
};

/* Answers a request: a new result; or NULL with the error filled. For a notification (`id` NULL)
 * what it returns is dropped. `params` is an object, {} when there were none. */
typedef json_t *rpc_method_fn(void *arg, const char *method, const json_t *params, const json_t *id,
                              struct rpc_error *error);

/* The answer to one line, new; NULL when it takes none. */
json_t *rpc_answer(const char *line, size_t len, rpc_method_fn *fn, void *arg);

/* Reads requests from `in` until its end and writes answers to `out`. ERR_PEER_LOST: `out` can't be
 * written; ERR_INTERNAL: `in` can't be read. */
MUST_CHECK enum err rpc_serve(int in, int out, rpc_method_fn *fn, void *arg);

#endif
