/* A Drive file's content as text. */
#ifndef MCPBUS_GOOGLE_DRIVE_CONTENT_H
#define MCPBUS_GOOGLE_DRIVE_CONTENT_H

#include <jansson.h>

#include "libcommon/buf.h"
#include "services/google/api.h"

struct drive_content {
    json_t *file;          /* id, name, mimeType, size, webViewLink; of a shortcut's target */
    const char *mime_type; /* of the text, static */
    struct buf text;       /* full when there is more */
    bool readable;         /* false: the file has no text, `text` describes it */
    bool first_sheet;      /* a spreadsheet, of which only the first sheet is here */
};

/* Reads at most `max` bytes of text. Either way drive_content_fini ends it. */
MUST_CHECK enum err drive_content_read(struct api *api, const char *id, size_t max,
                                       struct drive_content *ret_content,
                                       char ret_why[API_WHY_SIZE]);
void drive_content_fini(struct drive_content *content);

#endif
