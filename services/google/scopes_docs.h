/* The scopes that the methods of Docs and Sheets take. Any one of a mask's bits allows the method.
 */
#ifndef MCPBUS_GOOGLE_SCOPES_DOCS_H
#define MCPBUS_GOOGLE_SCOPES_DOCS_H

#include "services/google/scopes.h"

enum scopes_docs {
    /* documents.get; documents.batchUpdate. */
    SCOPES_DOCS_READ = SCOPE_DOCUMENTS | SCOPE_DOCUMENTS_READONLY | SCOPE_DRIVE |
                       SCOPE_DRIVE_READONLY | SCOPE_DRIVE_FILE,
    SCOPES_DOCS_WRITE = SCOPE_DOCUMENTS | SCOPE_DRIVE | SCOPE_DRIVE_FILE,
    /* spreadsheets.values.get; .append, .update, spreadsheets.create. */
    SCOPES_SHEETS_READ = SCOPE_SPREADSHEETS | SCOPE_SPREADSHEETS_READONLY | SCOPE_DRIVE |
                         SCOPE_DRIVE_READONLY | SCOPE_DRIVE_FILE,
    SCOPES_SHEETS_WRITE = SCOPE_SPREADSHEETS | SCOPE_DRIVE | SCOPE_DRIVE_FILE,
};

#endif
