/* Answers of several items, {"results":[{…},{…}]}, taken apart without parsing. Pure. */
#ifndef MCPBUS_GATEWAY_RESULTS_H
#define MCPBUS_GATEWAY_RESULTS_H

#include <stdbool.h>
#include <stddef.h>

/* The places of exactly `count` objects in compact JSON; false when the text is of another form.
 * The objects' insides are the sender's word. */
bool results_split(const char *text, size_t len, size_t count, const char **ret_begins,
                   size_t *ret_lens);

#endif
