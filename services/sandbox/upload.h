/* The two parts of a multipart/related upload. Pure. */
#ifndef MCPBUS_SANDBOX_UPLOAD_H
#define MCPBUS_SANDBOX_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/err.h"

struct upload {
    const char *metadata, *data; /* borrowed from the body */
    size_t metadata_len, len;
    char type[128]; /* of the data */
    bool base64;    /* how the data is encoded */
};

/* `content_type` names the boundary. ERR_INVALID: not two parts. */
MUST_CHECK enum err upload_split(const char *content_type, const char *body, size_t len,
                                 struct upload *ret_upload);

#endif
