/* Texts of the web: URL-encoded forms, percent-encoding, HTML. Pure. */
#ifndef MCPBUS_FORM_H
#define MCPBUS_FORM_H

#include <stddef.h>

#include "libcommon/buf.h"

/* The `nth` (from 0) value of `name` in an application/x-www-form-urlencoded text, decoded; NULL
 * when there is none or it holds a NUL. free() it. */
char *form_value(const char *form, size_t len, const char *name, unsigned nth);

/* Appends percent-encoded text (RFC 3986: all but the unreserved characters). */
void url_encode(struct buf *out, const char *text);

/* Appends text for HTML, in elements and in quoted attributes. */
void html_escape(struct buf *out, const char *text);

/* May a browser be sent there: http or https, printable ASCII without quotes or angles, no
 * fragment, no credentials, at most 2,048 bytes? */
bool url_is_redirectable(const char *url);
/* Length of "scheme://host:port" at the start of such a URL. */
size_t url_origin_len(const char *url);

#endif
