/* A call within a batch: it has no HTTP request of its own. Handlers ask by call_query and the
 * others of errors.h, which know both kinds. */
#ifndef MCPBUS_SANDBOX_INNER_H
#define MCPBUS_SANDBOX_INNER_H

#include <jansson.h>

#include "libcommon/buf.h"
#include "services/sandbox/sandbox.h"

struct inner {
    char *path;    /* percent-decoded */
    json_t *query; /* names to values */
    const char *body;
    size_t body_len;
    int status;
    char *type;
    struct buf answer;
};

/* Fills path and query from "/path?query". */
void inner_read_target(struct inner *inner, const char *target);
void inner_fini(struct inner *inner);

#endif
