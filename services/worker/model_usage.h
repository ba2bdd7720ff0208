/* What an answer cost, in the words of one endpoint or another. */
#ifndef MCPBUS_WORKER_MODEL_USAGE_H
#define MCPBUS_WORKER_MODEL_USAGE_H

#include <jansson.h>
#include <stddef.h>

/* A `usage` object → {input_tokens, output_tokens, total_tokens, cached_tokens, reasoning_tokens};
 * NULL when it counts nothing. Cached tokens are among the input's, reasoning among the output's.
 */
json_t *model_usage_read(const json_t *usage);

/* For an endpoint that tells none: about four bytes each, marked `estimated`. */
json_t *model_usage_estimate(size_t input_bytes, size_t output_bytes);

#endif
