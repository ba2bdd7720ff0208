/* RFC 3339 times. Pure. */
#ifndef MCPBUS_GOOGLE_RFC3339_H
#define MCPBUS_GOOGLE_RFC3339_H

#include <stdint.h>

#include "libcommon/err.h"

/* Milliseconds since 1970 of a date-time with its time zone (RFC 3339 §5.6); ERR_INVALID for
 * anything else. A leap second counts as the next one. */
MUST_CHECK enum err rfc3339_parse(const char *text, int64_t *ret_ms);

#endif
