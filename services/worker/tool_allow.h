/* A run's allow-list of tools: names of servers or of single tools. Pure. */
#ifndef MCPBUS_WORKER_TOOL_ALLOW_H
#define MCPBUS_WORKER_TOOL_ALLOW_H

#include <jansson.h>
#include <stdbool.h>

/* `allow`: an array of names; anything else allows all. A tool is named as the model sees it, or as
 * SERVER__TOOL with the server's own name for it. */
bool tool_allow(const json_t *allow, const char *server, const char *server_tool, const char *name);
/* May the list hold one of the server's tools? Else it need not be started. */
bool tool_allow_server(const json_t *allow, const char *server);

#endif
