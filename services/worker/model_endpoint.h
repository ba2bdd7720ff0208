/* Where chat completions are asked for, and what that place understands. Pure. */
#ifndef MCPBUS_WORKER_MODEL_ENDPOINT_H
#define MCPBUS_WORKER_MODEL_ENDPOINT_H

#include <stdbool.h>

#include "services/settings.h"
#include "services/worker/model_error.h"

/* What a model there has turned out not to take. */
enum {
    MODEL_LACKS_STREAM = 1,         /* streaming at all */
    MODEL_LACKS_STREAM_OPTIONS = 2, /* include_usage */
    MODEL_LACKS_LIMIT_NAME = 4,     /* the first choice of max_tokens, max_completion_tokens */
    MODEL_LACKS_TEMPERATURE = 8,
};

struct model_endpoint {
    char *base, *query; /* the URL before and behind /chat/completions; the query with its '?' */
    bool azure;         /* keys in api-key */
    bool deployments;   /* a model is a part of the path */
    bool new_limit;     /* max_completion_tokens is the name; elsewhere max_tokens */
    char *credential;   /* a header line */
};

void model_endpoint_init(struct model_endpoint *endpoint, const struct settings *settings);
void model_endpoint_fini(struct model_endpoint *endpoint);

/* The URL for that model; free() it. */
char *model_endpoint_url(const struct model_endpoint *endpoint, const char *model);

/* What the refusal says is not understood there, of what was sent (`lacked` is what was left out
 * already): one more of MODEL_LACKS_…, or 0: it is something else. */
unsigned model_endpoint_lacks(const struct model_error *error, unsigned lacked);

#endif
