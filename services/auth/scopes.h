/* Names of scopes and Google's URLs for them (proto/scopes.def). Pure. */
#ifndef MCPBUS_AUTH_SCOPES_H
#define MCPBUS_AUTH_SCOPES_H

#include <jansson.h>
#include <stdbool.h>

#include "libcommon/err.h"

/* Google's URL of a name, NULL when there is none. */
const char *scopes_url(const char *name);

/* The names without repetition, in their order. ERR_INVALID: one is unknown, or the list is not one
 * of texts; `ret_why` (a new text, free() it) says which. */
MUST_CHECK enum err scopes_check(const json_t *names, json_t **ret_names, char **ret_why);

/* What the sign-in page is asked for: identity and the URLs of `names`, with spaces; free() it. */
char *scopes_request(const json_t *names);

/* The URLs of `names` (or URLs themselves) that `granted` holds: an array of URLs, or text with
 * spaces; anything else grants nothing. A new array. */
json_t *scopes_granted(const json_t *names, const json_t *granted);

#endif
