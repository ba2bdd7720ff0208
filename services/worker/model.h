/* All model calls of a worker, on its loop: one pool of kept connections, one place for the key,
 * which no run ever holds. */
#ifndef MCPBUS_WORKER_MODEL_H
#define MCPBUS_WORKER_MODEL_H

#include <jansson.h>
#include <stdint.h>

#include "libcommon/loop.h"
#include "services/settings.h"

struct model;
struct model_call;

/* `settings` are borrowed. */
struct model *model_new(struct loop *loop, const struct settings *settings);
void model_destroy(struct model **model_p);

/* The answer: {message, usage} (see model_answer.h), or {error, outcome}: why there is none, for a
 * person, and whether the run should be tried again ("retry") or not ("failed"). Borrowed. */
typedef void model_done_fn(void *arg, const json_t *answer);

/* Asks with `request`: {messages, tools?} (borrowed), within `timeout_ms`, retrying what may pass.
 * `done` is called once, later. */
struct model_call *model_ask(struct model *model, const json_t *request, int64_t timeout_ms,
                             model_done_fn *done, void *arg);
/* `done` is not called any more; NULL is fine. */
void model_cancel(struct model_call **call_p);

#endif
