/* Answers to what a server asks its user for (elicitation), when nobody sits there: the defaults of
 * the form, where it has them (SEP-1034), else the user declines. */
#ifndef MCPBUS_MCP_ELICIT_H
#define MCPBUS_MCP_ELICIT_H

#include <jansson.h>

/* `params` of elicitation/create → {action, content?}. A form that has no default at all is
 * declined too: an empty answer could be taken for a yes. */
json_t *mcp_elicit_answer(const json_t *params);

/* `requests` of an input_required result (2026-07-28), {key: {method, params}} → {key: answer}.
 * NULL when one of them is for something that this client did not declare. */
json_t *mcp_input_responses(json_t *requests);

#endif
