/* The names under which a model calls the tools: SERVER__TOOL in [A-Za-z0-9_-]{1,64}, each once.
 * What MCP allows beyond that is replaced, and a table leads back. */
#ifndef MCPBUS_WORKER_TOOL_NAMES_H
#define MCPBUS_WORKER_TOOL_NAMES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { TOOL_NAME_MAX = 64, TOOLS_MAX = 2048, TOOL_DESCRIPTION_MAX = 1016 };

struct tool {
    char name[TOOL_NAME_MAX + 1]; /* as the model says it */
    int server;                   /* index of its server */
    char *server_tool;            /* as the server says it */
    bool repeatable;              /* a second call does no harm, says the server */
    bool destructive;             /* the server says so itself: MCP's default, that whatever is not
                                   * read-only may be, would have most tools wait for approval */
};

struct tool_names;
struct tool_names *tool_names_new(void);
void tool_names_destroy(struct tool_names **names_p);
/* `annotations`: of the tool, as MCP has them, or NULL. NULL when TOOLS_MAX are there. Borrowed. */
const struct tool *tool_names_add(struct tool_names *names, int server, const char *server_name,
                                  const char *tool_name, const json_t *annotations);
/* NULL when there is none of that name. Borrowed. */
const struct tool *tool_names_find(const struct tool_names *names, const char *name);
size_t tool_names_count(const struct tool_names *names);

#endif
