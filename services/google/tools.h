/* The tools: one table (tools.def), what of it a user may call, and the calling. */
#ifndef MCPBUS_GOOGLE_TOOLS_H
#define MCPBUS_GOOGLE_TOOLS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/google/api.h"
#include "services/google/result.h"

/* Fills the result from checked arguments. */
typedef void tool_fn(struct api *api, const json_t *args, struct result *result);

struct tool {
    const char *name, *title, *description;
    const char *schema; /* of the parameters, JSON */
    tool_fn *fn;
    uint32_t scopes; /* any of them allows it, */
    uint32_t also;   /* together with any of these; 0: alone */
    bool read_only, destructive, idempotent;
};

extern const struct tool tools[];
extern const size_t tools_count;

/* NULL when there is none of this name. */
const struct tool *tool_find(const char *name);
bool tool_allowed(const struct tool *tool, uint32_t scopes);
/* The tool as MCP's tools/list shows it; new. */
json_t *tool_json(const struct tool *tool);
/* Checks the arguments (an object), then calls; every failure is the result's. */
void tool_call(const struct tool *tool, struct api *api, uint32_t scopes, const json_t *args,
               struct result *result);

#define TOOL(name, title, text, scopes, handler, annotations, parameters) tool_fn handler;
#include "services/google/tools.def"
#undef TOOL

#endif
