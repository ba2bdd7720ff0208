/* A PDF made from plain text in any script for which the machine has a font. */
#ifndef MCPBUS_GOOGLE_PDF_FROM_TEXT_H
#define MCPBUS_GOOGLE_PDF_FROM_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "libcommon/err.h"
#include "services/google/api.h"

enum { PDF_TEXT_MAX = 1024 * 1024, PDF_PAGES_MAX = 1000, PDF_MAX = 64 * 1024 * 1024 };

/* A4 pages, one paragraph for each line of the text (UTF-8), form feeds begin a page. free()
 * *ret_data. ERR_TOO_LARGE: more text or pages than the limits; ERR_INTERNAL, ERR_NO_SERVICE,
 * ERR_TIMEOUT: it can't be made. */
MUST_CHECK enum err pdf_from_text(struct api *api, const char *title, const char *text,
                                  uint8_t **ret_data, size_t *ret_len);

#endif
