/* What a deployment sets for its agents, read and checked once when the worker starts: the system
 * prompt, the time zone, budgets, prices, approval. It goes to each run in its job frame. */
#ifndef MCPBUS_WORKER_AGENT_CONFIG_H
#define MCPBUS_WORKER_AGENT_CONFIG_H

#include <jansson.h>

#include "libcommon/err.h"
#include "services/settings.h"

enum { AGENT_CONFIG_WHY_SIZE = 320 };

/* → {model, max_turns, max_tokens, max_cost, prices: {model: [input, cached input, output]},
 * context_tokens, approval, approval_tools: [names], system_prompt?, time_zone}: the job frame's
 * `settings`. ERR_INVALID: `ret_why` names the variable and what it takes. */
MUST_CHECK enum err agent_config_load(const struct settings *settings, json_t **ret_config,
                                      char ret_why[AGENT_CONFIG_WHY_SIZE]);

#endif
