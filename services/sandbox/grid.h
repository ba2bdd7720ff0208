/* The cells of an invented spreadsheet: [{sheetId, title, rows: [[cell]]}]. A cell is a text, a
 * number, a boolean, null, or {"f": formula}. Pure. */
#ifndef MCPBUS_SANDBOX_GRID_H
#define MCPBUS_SANDBOX_GRID_H

#include <jansson.h>
#include <stdbool.h>

#include "libcommon/buf.h"
#include "services/sandbox/a1.h"

enum { GRID_ROWS = 1000, GRID_COLUMNS = 26, GRID_ROWS_MAX = 20000 };

/* One sheet of this title, with the rows of a CSV text. */
json_t *grid_from_csv(const char *title, const char *csv);
/* Appends the first sheet's values as CSV. */
void grid_to_csv(const json_t *grid, struct buf *out);

/* A sheet by its title ("": the first), borrowed; NULL: none. */
json_t *grid_sheet(const json_t *grid, const char *title);
size_t grid_rows(const json_t *sheet);    /* how many rows hold something */
size_t grid_columns(const json_t *sheet); /* the widest row */

enum grid_render { GRID_FORMATTED, GRID_UNFORMATTED, GRID_FORMULA };
/* The values of a range without open ends, as rows or (`by_column`) columns; empty ones at the ends
 * are left out. */
json_t *grid_read(const json_t *sheet, const struct a1 *range, enum grid_render render,
                  bool by_column);
/* Puts values (rows) from the range's first cell on; null leaves a cell as it is. `entered`: as if
 * typed, so that "12" is a number and "=…" a formula. Returns how many cells were set. */
size_t grid_write(json_t *sheet, size_t row, size_t column, const json_t *values, bool entered);

#endif
