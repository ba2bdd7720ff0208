/* Google's batch requests (multipart/mixed of application/http): several calls of one API in one
 * round trip. Pure. */
#ifndef MCPBUS_GOOGLE_BATCH_H
#define MCPBUS_GOOGLE_BATCH_H

#include <stddef.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"

enum { BATCH_PARTS_MAX = 100, BATCH_BOUNDARY_SIZE = 80 };

/* Appends the part with this number (from 0); `target` is path and query, `body` JSON or NULL. */
void batch_add(struct buf *out, const char *boundary, size_t number, const char *method,
               const char *target, const char *body);
void batch_end(struct buf *out, const char *boundary);

struct batch_answer {
    int status; /* 0: this call got none */
    const char *body;
    size_t len;
};

/* Reads an answer of `content_type` to `count` calls, in whatever order its parts come; the bodies
 * are borrowed from `text`. ERR_INVALID: it is no multipart answer. */
MUST_CHECK enum err batch_parse(const char *content_type, const char *text, size_t len,
                                struct batch_answer *ret_answers, size_t count);

#endif
