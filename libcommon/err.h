/* The closed error table (err.def). Every function that can fail returns one of these and leaves
 * its outputs (named ret_x) untouched on failure. Any thread. */
#ifndef MCPBUS_ERR_H
#define MCPBUS_ERR_H

#include <stdbool.h>
#include <stdint.h>

enum err {
#define ERR(name, wire, group, http, text) ERR_##name,
#include "libcommon/err.def"
#undef ERR
};

enum err_group { ERR_GROUP_OK, ERR_GROUP_NOT_EXECUTED, ERR_GROUP_UNKNOWN, ERR_GROUP_EXECUTED };

/* The caller must look at the result. */
#define MUST_CHECK __attribute__((warn_unused_result))

const char *err_name(enum err err);
const char *err_text(enum err err);
uint16_t err_wire(enum err err);
int err_http(enum err err);
enum err_group err_group(enum err err);

/* May the same call be sent again? `idempotent`: doing it twice does no harm. */
bool err_retryable(enum err err, bool idempotent);

/* The error with this wire status; false (output untouched) when the table has none. */
MUST_CHECK bool err_from_wire(uint16_t wire, enum err *ret_err);

/* The error of that err_name; ERR_INTERNAL for a name of another version. */
enum err err_from_name(const char *name);

#endif
