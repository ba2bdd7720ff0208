/* The scopes that Drive's methods take. Any one of a mask's bits allows the method. */
#ifndef MCPBUS_GOOGLE_SCOPES_DRIVE_H
#define MCPBUS_GOOGLE_SCOPES_DRIVE_H

#include "services/google/scopes.h"

enum scopes_drive {
    /* files.list; searching in contents takes more than the metadata scopes. Also files.get with
     * alt=media, and files.export. */
    SCOPES_DRIVE_SEARCH = SCOPE_DRIVE | SCOPE_DRIVE_READONLY | SCOPE_DRIVE_FILE,
    SCOPES_DRIVE_READ = SCOPES_DRIVE_SEARCH,
    SCOPES_DRIVE_LIST = SCOPES_DRIVE_SEARCH | SCOPE_DRIVE_METADATA | SCOPE_DRIVE_METADATA_READONLY,
    /* files.create, .delete, permissions.create. */
    SCOPES_DRIVE_WRITE = SCOPE_DRIVE | SCOPE_DRIVE_FILE,
    /* files.update without content. */
    SCOPES_DRIVE_MOVE = SCOPES_DRIVE_WRITE | SCOPE_DRIVE_METADATA,
};

#endif
