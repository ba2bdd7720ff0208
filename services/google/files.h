/* Work on files that anyone may have made, or with large libraries, in a process of its own: the
 * program mcpbus-files beside this one, with no secret in its environment or memory, and with
 * limits of time, memory and output. What happens there is never this process's end. */
#ifndef MCPBUS_GOOGLE_FILES_H
#define MCPBUS_GOOGLE_FILES_H

#include <stddef.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"
#include "services/google/api.h"

enum { FILES_INPUT_MAX = 40 * 1024 * 1024 };

/* `job`: "pdf" or "docx" (to text), "make-pdf" (of a line with the title, then text). Appends what
 * comes out to `out`; it becomes full when there is more (the last character may then be cut).
 * ERR_INVALID: it is no such file, or damaged; ERR_DENIED: it takes a password; ERR_TOO_LARGE,
 * ERR_TIMEOUT, ERR_CANCELLED, ERR_NO_SERVICE (the program is missing), ERR_INTERNAL (it crashed).
 */
MUST_CHECK enum err files_run(struct api *api, const char *job, const void *data, size_t len,
                              struct buf *out);

#endif
