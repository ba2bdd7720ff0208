/* Mails as Gmail's API shows them. Pure. */
#ifndef MCPBUS_SANDBOX_GMAIL_VIEW_H
#define MCPBUS_SANDBOX_GMAIL_VIEW_H

#include <jansson.h>

/* `format`: full, metadata, minimal or raw; NULL is full. NULL: no such format. The caller's. */
json_t *gmail_view(const json_t *mail, const char *format);

/* The attachment (borrowed) whose id gmail_view gave; NULL: none. */
const json_t *gmail_find_attachment(const json_t *mail, const char *attachment_id);

#endif
