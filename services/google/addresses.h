/* Email addresses as a model writes them. Pure. */
#ifndef MCPBUS_GOOGLE_ADDRESSES_H
#define MCPBUS_GOOGLE_ADDRESSES_H

#include <jansson.h>
#include <stdbool.h>

enum { ADDRESS_SIZE = 255, ADDRESSES_MAX = 200 };

/* "ann@example.com" or "Ann <ann@example.com>": one address. */
bool address_read(const char *text, char ret_address[ADDRESS_SIZE]);

/* A list of texts, or one text with commas, semicolons or line ends between addresses: a new array
 * of addresses, each once. NULL: one of them is none (`ret_bad` has it, cut), or there are too
 * many (`ret_bad` is ""). */
json_t *addresses_read(const json_t *value, char ret_bad[ADDRESS_SIZE]);

#endif
