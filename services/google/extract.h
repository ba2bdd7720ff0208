/* Readable text out of files that anyone may have made. */
#ifndef MCPBUS_GOOGLE_EXTRACT_H
#define MCPBUS_GOOGLE_EXTRACT_H

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"
#include "services/google/api.h"

enum extract_kind { EXTRACT_NONE, EXTRACT_TEXT, EXTRACT_HTML, EXTRACT_PDF, EXTRACT_DOCX };

enum {
    EXTRACT_INPUT_MAX = 40 * 1024 * 1024,
    EXTRACT_TEXT_MAX = 4 * 1024 * 1024,
    EXTRACT_WHY_SIZE = 160,
};

/* By the MIME type, or where that says little by the name's ending. */
enum extract_kind extract_kind_of(const char *mime_type, const char *filename);
/* "pdf", "docx", "txt", "html", also with a dot or as a MIME type; EXTRACT_NONE: another. */
enum extract_kind extract_kind_named(const char *name);
const char *extract_kind_name(enum extract_kind kind);

/* Appends the text to `out`, which becomes full when there is more. ERR_INVALID: it is no such
 * file, or damaged; ERR_DENIED: it takes a password; ERR_TOO_LARGE, ERR_TIMEOUT, ERR_CANCELLED,
 * ERR_INTERNAL (the parser crashed); `ret_why` has the words. */
MUST_CHECK enum err extract_text(struct api *api, enum extract_kind kind, const void *data,
                                 size_t len, struct buf *out, char ret_why[EXTRACT_WHY_SIZE]);

/* The same for EXTRACT_TEXT and EXTRACT_HTML alone, which need no process. */
MUST_CHECK enum err extract_plain(const void *data, size_t len, bool html, struct buf *out);

#endif
