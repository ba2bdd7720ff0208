/* Readable text out of HTML that anyone may have written. */
#ifndef MCPBUS_GOOGLE_HTML_H
#define MCPBUS_GOOGLE_HTML_H

#include <stddef.h>

#include "libcommon/buf.h"

/* Appends the text of the HTML: tags dropped, blocks on lines of their own, white space folded,
 * scripts, styles and comments left out, character references decoded. Linear in `len`. */
void html_to_text(const char *html, size_t len, struct buf *out);

/* Appends plain text with its character references (&amp; &#39; &#x27;) decoded. */
void html_decode_references(const char *text, size_t len, struct buf *out);

#endif
