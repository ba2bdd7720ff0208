/* What results of an MCP server mean to a model: text. Images, sound and blobs are described, never
 * carried along; what is cut says so. The server may have put anything into them. */
#ifndef MCPBUS_MCP_CONTENT_H
#define MCPBUS_MCP_CONTENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* All return at most `max` bytes and a visible marker where that cut something off. free() it. */

/* Of tools/call: {content, structuredContent?, isError?}. */
char *mcp_result_text(const json_t *result, size_t max, bool *ret_is_error);
/* Of resources/read: {contents: [{uri, mimeType?, text | blob}]}. */
char *mcp_resource_text(const json_t *result, size_t max);
/* A line for each of `resources` and `templates`, as resources/list and resources/templates/list
 * give them (either may be NULL). */
char *mcp_resource_lines(const json_t *resources, const json_t *templates, size_t max);

#endif
