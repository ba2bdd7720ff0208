/* What the parts of Drive's API share. */
#ifndef MCPBUS_SANDBOX_DRIVE_H
#define MCPBUS_SANDBOX_DRIVE_H

#include "services/sandbox/data.h"
#include "services/sandbox/errors.h"

enum { FILE_CONTENT_MAX = 4 << 20 };

/* The file named in the path (or "root"), borrowed; NULL after a 404. */
json_t *drive_own_file(struct call *call, const char *id);
/* The file without the sandbox's own keys; the caller's. */
json_t *drive_view(const json_t *file);
/* A new file from a request's metadata: not yet in the account. NULL after an error answer. */
json_t *drive_make(struct call *call, const json_t *metadata, const char *type);
/* Adds a made file (consumed) and answers with it. */
void drive_store(struct call *call, json_t *file, size_t bytes);
/* Applies metadata (name, mimeType, trashed, …) and ?addParents, ?removeParents. */
void drive_apply(struct call *call, json_t *file, const json_t *metadata);

#endif
