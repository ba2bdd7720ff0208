/* Text in any character set, as UTF-8. */
#ifndef MCPBUS_GOOGLE_CHARSET_H
#define MCPBUS_GOOGLE_CHARSET_H

#include <stddef.h>

/* Valid UTF-8 without NUL, whatever the bytes were: by a byte order mark, else as UTF-8 where they
 * are that (and no set of seven bits with escapes), else in the `declared` set (may be NULL), else
 * in the set that they look like; what can't be converted becomes U+FFFD. free() the text. */
char *charset_to_utf8(const char *data, size_t len, const char *declared, size_t *ret_len);

#endif
