/* The schema of a tool's arguments, as an MCP server may give it, made into one that chat
 * completions accept: OpenAI refuses the whole request for one array without `items`. Pure. */
#ifndef MCPBUS_WORKER_TOOL_SCHEMA_H
#define MCPBUS_WORKER_TOOL_SCHEMA_H

#include <jansson.h>

/* The caller's; `schema` (borrowed) may be anything. Always {type: "object", properties: {…}, …},
 * without combinators at its top, with types, lists and references that hold inside. What is
 * larger than some 32 KiB becomes an object of any members. */
json_t *tool_schema(const json_t *schema);

#endif
