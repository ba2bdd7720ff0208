/* Checks a tool's arguments against its JSON schema, in words that a model can act on. Knows what
 * the tools' schemas use: type (string, integer, number, boolean, array, object, or a list of
 * them), properties, required, items, enum, minimum, maximum, minLength, maxLength, maxItems.
 * Members that the schema doesn't name are refused. */
#ifndef MCPBUS_GOOGLE_SCHEMA_H
#define MCPBUS_GOOGLE_SCHEMA_H

#include <jansson.h>

#include "libcommon/err.h"

enum { SCHEMA_WHY_SIZE = 300 };

/* On success *ret_args is a new object: numbers such as 10.0 are whole where the schema asks for
 * that, and null for an optional parameter counts as not given. ERR_INVALID: `ret_why` says what
 * to change. */
MUST_CHECK enum err schema_check(const json_t *schema, const json_t *args, json_t **ret_args,
                                 char ret_why[SCHEMA_WHY_SIZE]);

#endif
