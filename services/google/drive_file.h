/* What Drive's tools share: ids, metadata, how a file is told. */
#ifndef MCPBUS_GOOGLE_DRIVE_FILE_H
#define MCPBUS_GOOGLE_DRIVE_FILE_H

#include <jansson.h>
#include <stdbool.h>

#include "services/google/api.h"
#include "services/google/result.h"

#define DRIVE_APPS "application/vnd.google-apps."
#define DRIVE_FOLDER DRIVE_APPS "folder"
#define DRIVE_DOCUMENT DRIVE_APPS "document"
#define DRIVE_SHEET DRIVE_APPS "spreadsheet"
#define DRIVE_SLIDES DRIVE_APPS "presentation"
#define DRIVE_SHORTCUT DRIVE_APPS "shortcut"

enum { DRIVE_ID_SIZE = 257, DRIVE_NAME_MAX = 500 };

/* The id in `text`: the id itself, or a link to a file, folder or document as browsers show it.
 * Pure. */
bool drive_read_id(const char *text, char ret_id[DRIVE_ID_SIZE]);
/* The id in an argument; false: the result says what is wrong with it. */
bool drive_id_arg(const json_t *args, const char *name, char ret_id[DRIVE_ID_SIZE],
                  struct result *result);

/* A file's metadata (`fields` as Drive names them); new. */
MUST_CHECK enum err drive_get_file(struct api *api, const char *id, const char *fields,
                                   json_t **ret_file, char ret_why[API_WHY_SIZE]);
/* The same for a tool: false: the result is the error. */
bool drive_fetch_file(struct api *api, const char *id, const char *fields, json_t **ret_file,
                      struct result *result);

bool drive_is_type(const json_t *file, const char *mime_type);
/* "/drive/v3/files/ID" and what follows; free() it. */
char *drive_path(const char *prefix, const char *id, const char *suffix);

/* Says what was done with a file: `said`, then its name, id and link; the same as JSON. */
#define DRIVE_TELL_FIELDS "id,name,mimeType,webViewLink"
void drive_tell(struct result *result, const char *said, const json_t *file);

#endif
