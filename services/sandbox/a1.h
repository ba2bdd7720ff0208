/* Ranges of cells in A1 notation. Pure. */
#ifndef MCPBUS_SANDBOX_A1_H
#define MCPBUS_SANDBOX_A1_H

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"

enum { A1_SHEET_SIZE = 256, A1_ROWS_MAX = 10000000, A1_COLUMNS_MAX = 18278 };

/* Counted from 0, ends excluded; SIZE_MAX: open, up to the sheet's end. */
struct a1 {
    char sheet[A1_SHEET_SIZE]; /* "": the first one */
    size_t row, row_end, column, column_end;
};

/* Sheet1!A1:B2, 'My sheet'!A:C, 2:4, A2:C, B7, and a sheet's name alone, in which case `word` is
 * set: whether there is such a sheet only the caller knows. ERR_INVALID: it is none of these. */
MUST_CHECK enum err a1_parse(const char *text, struct a1 *ret_range, bool *ret_word);

/* Appends 'Sheet'!A1:B2, with the quotes only where they are needed. No end may be open. */
void a1_write(struct buf *out, const struct a1 *range);

#endif
