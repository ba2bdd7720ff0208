/* What the parts of Sheets' API share. */
#ifndef MCPBUS_SANDBOX_SHEETS_H
#define MCPBUS_SANDBOX_SHEETS_H

#include "services/sandbox/drive.h"
#include "services/sandbox/grid.h"

#define SPREADSHEET GOOGLE_APP "spreadsheet"

/* The spreadsheet's file, borrowed, its cells in *ret_grid (borrowed too); NULL after an error. */
json_t *sheets_own(struct call *call, const char *id, json_t **ret_grid);
/* The cells have changed: what Drive shows of the file follows. False after an error answer. */
bool sheets_changed(struct call *call, json_t *file, const json_t *grid);

#endif
