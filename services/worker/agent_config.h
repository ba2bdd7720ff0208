/* What a deployment sets for its agents, read and checked once when the worker starts: the system
 * prompt, the time zone, budgets, prices, approval. It goes to each run in its job frame. */
#ifndef MCPBUS_WORKER_AGENT_CONFIG_H
#define MCPBUS_WORKER_AGENT_CONFIG_H

#include <jansson.h>
#include <stdbool.h>

#include "libcommon/err.h"
#include "services/settings.h"

enum { AGENT_CONFIG_WHY_SIZE = 320, AGENT_SYSTEM_PROMPT_MAX = 64 << 10 };

/* → {model, max_turns, max_tokens (0: no limit), max_cost?, prices: {model: [input, cached input,
 * output]}, context_tokens, system_prompt?, time_zone, approval, approval_tools: [names]}: the job
 * frame's `settings`. ERR_INVALID: `ret_why` names the variable and what it takes. */
MUST_CHECK enum err agent_config_load(const struct settings *settings, json_t **ret_config,
                                      char ret_why[AGENT_CONFIG_WHY_SIZE]);

/* Is it a name that the system's zoneinfo knows? */
bool agent_config_is_time_zone(const char *name);

#endif
