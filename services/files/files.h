/* What mcpbus-files can do. Each reads from memory and writes to a buffer with a ceiling, which
 * becomes full when there is more. */
#ifndef MCPBUS_FILES_FILES_H
#define MCPBUS_FILES_FILES_H

#include <stddef.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"

enum { FILES_INPUT_MAX = 40 * 1024 * 1024, FILES_TEXT_MAX = 4 * 1024 * 1024 };
enum { FILES_PDF_MAX = 64 * 1024 * 1024, FILES_PAGES_MAX = 1000 };

/* Text of a file. ERR_INVALID: it is none of that kind, or damaged; ERR_DENIED: it takes a
 * password; ERR_TOO_LARGE. */
MUST_CHECK enum err files_pdf_to_text(const void *data, size_t len, struct buf *out);
MUST_CHECK enum err files_docx_to_text(const void *data, size_t len, struct buf *out);

/* A PDF of a line with the title, then text in any script for which the machine has a font: A4
 * pages, a paragraph for each line, form feeds begin a page. ERR_TOO_LARGE: too many pages. */
MUST_CHECK enum err files_make_pdf(const void *data, size_t len, struct buf *out);

#endif
