/* Mails as text (RFC 5322, 2045 to 2047), both ways. Pure. */
#ifndef MCPBUS_SANDBOX_MIME_H
#define MCPBUS_SANDBOX_MIME_H

#include <jansson.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"

/* Appends a mail of data.h as RFC 5322 text: plain, alternative when it has HTML, mixed when it has
 * attachments. */
void mime_build(const json_t *mail, struct buf *out);

/* What a text holds: {headers: [{name, value}] (unfolded, encoded words decoded), text, html?,
 * attachments: [{filename, mimeType, data (base64url), size}]}. ERR_INVALID when it has no header
 * at all. */
MUST_CHECK enum err mime_parse(const char *text, size_t len, json_t **ret_mail);

#endif
