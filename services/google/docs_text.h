/* A Google Doc's content as text. Pure. */
#ifndef MCPBUS_GOOGLE_DOCS_TEXT_H
#define MCPBUS_GOOGLE_DOCS_TEXT_H

#include <jansson.h>

#include "libcommon/buf.h"

/* Appends the text of a document as documents.get gives it, all its tabs: headings with "#", list
 * items with "-", tables with "|" between their cells. `out` is full when there is more. */
void docs_text(const json_t *document, struct buf *out);

#endif
