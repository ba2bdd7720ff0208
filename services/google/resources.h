/* The resources: templates of URIs, which of them a user may read, and the reading. */
#ifndef MCPBUS_GOOGLE_RESOURCES_H
#define MCPBUS_GOOGLE_RESOURCES_H

#include <jansson.h>
#include <stdint.h>

#include "services/google/api.h"

/* Reads the resource of this id (api_is_id) and URI. *ret_contents: a new array of MCP's resource
 * contents ({uri, mimeType, text} or {uri, mimeType, blob}). */
typedef enum err resource_fn(struct api *api, const char *id, const char *uri,
                             json_t **ret_contents, char ret_why[API_WHY_SIZE]);

/* What resources/templates/list shows; new. */
json_t *resources_templates(uint32_t scopes);

/* ERR_NOT_FOUND: no template has such a URI, or the user's scopes don't allow it, or Google has
 * none. */
MUST_CHECK enum err resources_read(struct api *api, uint32_t scopes, const char *uri,
                                   json_t **ret_contents, char ret_why[API_WHY_SIZE]);

resource_fn drive_resource;

#endif
