/* Mails as they are sent (RFC 5322, 2045 to 2047), made by GMime: any script in names, subjects and
 * text; and no text can begin another header. */
#ifndef MCPBUS_GOOGLE_MIME_BUILD_H
#define MCPBUS_GOOGLE_MIME_BUILD_H

#include "libcommon/err.h"
#include "services/google/api.h"
#include "services/google/mime.h"

struct mime_mail {
    const char *to;                      /* addresses, with commas between them */
    const char *subject;                 /* one line */
    const char *body;                    /* plain text */
    const char *message_id, *references; /* of the mail that this answers; may be NULL */
};

enum { MIME_RECIPIENTS_MAX = 100, MIME_BODY_MAX = 2 * 1024 * 1024 };

/* *ret_text: the mail, *ret_to: the addresses that it goes to, with commas; free() both.
 * ERR_INVALID: `ret_why` says what is wrong with it. */
MUST_CHECK enum err mime_build(const struct mime_mail *mail, char **ret_text, char **ret_to,
                               char ret_why[API_WHY_SIZE]);

/* A header's value as people read it, its encoded words decoded; free() it. */
char *mime_decode_header(const char *value);

#endif
