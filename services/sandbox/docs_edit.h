/* The requests of Docs' batchUpdate, on plain text. Pure. */
#ifndef MCPBUS_SANDBOX_DOCS_EDIT_H
#define MCPBUS_SANDBOX_DOCS_EDIT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/err.h"

enum { DOCS_WHY_SIZE = 256 };

/* Applies all requests (insertText, deleteContentRange, replaceAllText; those for styles and
 * bullets change nothing here) or none. ERR_INVALID: `ret_why` says which is wrong.
 * Otherwise *ret_text (free() it) and *ret_replies are the caller's. */
MUST_CHECK enum err docs_edit(const char *text, const json_t *requests, char **ret_text,
                              json_t **ret_replies, char ret_why[DOCS_WHY_SIZE]);

/* Docs counts in UTF-16 code units. */
int64_t utf16_length(const char *text, size_t len);

#endif
