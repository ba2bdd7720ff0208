/* The query language of Drive's files.list. Pure. */
#ifndef MCPBUS_SANDBOX_DRIVE_QUERY_H
#define MCPBUS_SANDBOX_DRIVE_QUERY_H

#include <jansson.h>
#include <stdbool.h>

#include "libcommon/err.h"

/* Does the file fit? name, fullText, mimeType, modifiedTime, createdTime, trashed, starred,
 * sharedWithMe, 'X' in parents|owners|writers|readers; contains = != < <= > >=; and, or,
 * not, ( ). `root` is what 'root' means, `email` what 'me' means. ERR_INVALID: the query is
 * malformed (whatever the file holds). */
MUST_CHECK enum err drive_query_matches(const char *query, const json_t *file, const char *root,
                                        const char *email, bool *ret_matches);

#endif
