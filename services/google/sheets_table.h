/* Values of cells: what a model gives, and what it is shown. Pure. */
#ifndef MCPBUS_GOOGLE_SHEETS_TABLE_H
#define MCPBUS_GOOGLE_SHEETS_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "services/google/result.h"

enum { SHEETS_CELLS_MAX = 50000 };

/* Are they rows of texts, numbers, booleans and nulls, at least one? `ret_why` says what is wrong.
 */
bool sheets_check_values(const json_t *values, char *ret_why, size_t why_size);

/* Shows a ValueRange as CSV, and its rows as JSON while they fit. */
void sheets_show(const json_t *range, struct result *result);

#endif
