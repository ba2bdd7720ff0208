/* Files of the machine that this program runs on, which a model may name: only those below one
 * folder, never through a symbolic link. */
#ifndef MCPBUS_GOOGLE_LOCAL_FILE_H
#define MCPBUS_GOOGLE_LOCAL_FILE_H

#include <stdint.h>

#include "libcommon/err.h"

enum { LOCAL_WHY_SIZE = 300 };

/* Opens a regular file for reading: `path` is relative to the folder, or absolute and below it.
 * The caller closes *ret_fd. ERR_DENIED: outside, a link, not a regular file, more than `max`
 * bytes; ERR_NOT_FOUND; `ret_why` has the words. */
MUST_CHECK enum err local_open(const char *folder, const char *path, int64_t max, int *ret_fd,
                               int64_t *ret_size, char ret_why[LOCAL_WHY_SIZE]);

#endif
