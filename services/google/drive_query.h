/* Search texts for Drive's files.list, from what a model wrote. Pure. */
#ifndef MCPBUS_GOOGLE_DRIVE_QUERY_H
#define MCPBUS_GOOGLE_DRIVE_QUERY_H

#include <stdbool.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"

/* Appends 'text' quoted as Drive's query language has it: \ and ' are escaped. */
void drive_quote(struct buf *out, const char *text);

/* Files not in the trash whose name or content contains the text. */
void drive_search_query(struct buf *out, const char *text);

/* Files not in the trash of a kind ("", a word such as "pdf", or a MIME type). ERR_INVALID: no such
 * kind. */
MUST_CHECK enum err drive_type_query(struct buf *out, const char *file_type);

/* Is it what orderBy takes: known keys with commas, each with or without "desc"? */
bool drive_is_order(const char *order);

#endif
