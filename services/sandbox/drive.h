/* What the parts of Drive's API share. */
#ifndef MCPBUS_SANDBOX_DRIVE_H
#define MCPBUS_SANDBOX_DRIVE_H

#include "services/sandbox/data.h"
#include "services/sandbox/errors.h"

#define GOOGLE_APP "application/vnd.google-apps."

enum { FILE_CONTENT_MAX = 20 << 20 };

/* The file named in the path, borrowed; NULL after a 404, which files that the token's scopes hide
 * get too. */
json_t *drive_own_file(struct call *call, const char *id);
/* Do the token's scopes show it? drive.file shows only what the application made. */
bool drive_shows(const struct call *call, const json_t *file);
bool drive_is_folder(const json_t *file);
bool drive_is_root(const struct call *call, const char *id);
/* The file without the sandbox's own keys; the caller's. */
json_t *drive_view(const json_t *file);
/* Answers with ?fields of `body` (consumed), or with those that Drive gives by itself. */
void drive_reply(struct call *call, json_t *body, const char *fields);
#define DRIVE_FILE_FIELDS "kind,id,name,mimeType"

/* A new file from a request's metadata: not yet in the account. NULL after an error answer. */
json_t *drive_make(struct call *call, const json_t *metadata, const char *type);
/* Adds a made file (consumed) and answers with it. */
void drive_store(struct call *call, json_t *file, size_t bytes);
/* Applies metadata (name, mimeType, trashed, …) and ?addParents, ?removeParents; false after an
 * error answer. */
bool drive_apply(struct call *call, json_t *file, const json_t *metadata);
/* It was modified now. */
void drive_touch(struct call *call, json_t *file);
/* Puts content into a new file, or one of the account; false after an error answer. */
bool drive_fill(struct call *call, json_t *file, const void *data, size_t len);

#endif
