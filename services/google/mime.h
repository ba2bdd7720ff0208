/* A message's readable text and attachments out of the payload of Gmail's messages.get
 * (MessagePart: mimeType, filename, headers, body.data in base64url, parts). Anyone may have
 * written the message: depth, number of parts and sizes are bounded. */
#ifndef MCPBUS_GOOGLE_MIME_H
#define MCPBUS_GOOGLE_MIME_H

#include <jansson.h>
#include <stdint.h>

#include "libcommon/buf.h"

enum { MIME_DEPTH_MAX = 16, MIME_PARTS_MAX = 500, MIME_ATTACHMENTS_MAX = 100 };

/* Value of a header of this part, NULL when there is none; the name in any case. */
const char *mime_header(const json_t *part, const char *name);

/* Appends the text: of alternatives the plain one, HTML as text where there is no plain one;
 * attachments left out. `out` becomes full when it doesn't fit; what fits stays. */
void mime_text(const json_t *payload, struct buf *out);

/* The bytes of a body's "data" (base64url, padded or not); free() them, a NUL is behind them.
 * ERR_INVALID: it is none. */
MUST_CHECK enum err mime_decode_data(const json_t *data, uint8_t **ret_bytes, size_t *ret_len);

/* New array of {filename, mimeType, size, attachmentId?, data?}: the content's id, or itself. */
json_t *mime_attachments(const json_t *payload);

#endif
