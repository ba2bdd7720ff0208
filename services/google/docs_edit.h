/* Changes of Google Docs that more than one tool makes. */
#ifndef MCPBUS_GOOGLE_DOCS_EDIT_H
#define MCPBUS_GOOGLE_DOCS_EDIT_H

#include <jansson.h>

#include "services/google/api.h"

/* The document's whole text becomes `text`; ERR_CONFLICT when someone changed it meanwhile. */
MUST_CHECK enum err docs_set_text(struct api *api, const char *id, const char *text,
                                  char ret_why[API_WHY_SIZE]);

#endif
