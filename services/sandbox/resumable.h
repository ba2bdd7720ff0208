/* Resumable uploads to Drive: sessions that take a file piece by piece. */
#ifndef MCPBUS_SANDBOX_RESUMABLE_H
#define MCPBUS_SANDBOX_RESUMABLE_H

#include "services/sandbox/drive.h"

/* Answers with the address of a new session, whose metadata is the request's body. `file` is the
 * id of the file to overwrite, NULL for a new one. */
void resumable_begin(struct call *call, const char *file);
/* Forgets all sessions. */
void resumable_drop(struct sandbox *sandbox);

struct upload_range {
    bool query;          /* "bytes * / TOTAL": how far are we? */
    size_t first, count; /* of the piece */
    size_t total;        /* SIZE_MAX: not known yet */
};

/* The Content-Range of a piece of `len` bytes; NULL: all at once. ERR_INVALID: malformed, or it
 * does not fit the piece. Pure. */
MUST_CHECK enum err upload_range_read(const char *text, size_t len, struct upload_range *ret_range);

/* What ends an upload: the file is made, or overwritten, and answered with. */
void drive_upload_new(struct call *call, const json_t *metadata, const char *type, const void *data,
                      size_t len);
void drive_upload_over(struct call *call, json_t *file, const json_t *metadata, const void *data,
                       size_t len);

#endif
