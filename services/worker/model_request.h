/* A question to the model as the text that is sent. There is one copy of it, whatever it is tried
 * again with: hundreds of runs wait at once, each with a conversation of its own. Pure. */
#ifndef MCPBUS_WORKER_MODEL_REQUEST_H
#define MCPBUS_WORKER_MODEL_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "services/settings.h"
#include "services/worker/model_endpoint.h"

struct model_request;

/* From the run's frame {messages, tools?, tool_choice?, model?, max_completion_tokens?} (borrowed)
 * and what the settings say for all. */
struct model_request *model_request_new(const struct settings *settings, const json_t *ask);
void model_request_destroy(struct model_request **request_p);

const char *model_request_model(const struct model_request *request); /* borrowed */

/* The body, without what the model there lacks (MODEL_LACKS_…); valid until the next call. */
const char *model_request_body(struct model_request *request, const struct model_endpoint *endpoint,
                               unsigned lacks, size_t *ret_len);

/* Gives calls of an answer that use an id of the conversation another one. */
void model_request_new_ids(const struct model_request *request, json_t *answer);

#endif
