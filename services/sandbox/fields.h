/* Google's `fields` parameter: which parts of an answer the caller wants. Pure. */
#ifndef MCPBUS_SANDBOX_FIELDS_H
#define MCPBUS_SANDBOX_FIELDS_H

#include <jansson.h>

#include "libcommon/err.h"

/* "a,b/c,d(e,f.g),*": the named parts of `value`, new; an array's every entry is picked from.
 * ERR_INVALID: malformed, or nested too deeply. */
MUST_CHECK enum err fields_pick(const json_t *value, const char *fields, json_t **ret_picked);

#endif
