/* All model calls of a worker, on its loop: one pool of kept connections, one place for the key,
 * which no run ever holds, one view of the endpoint's limits. */
#ifndef MCPBUS_WORKER_MODEL_H
#define MCPBUS_WORKER_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/err.h"
#include "libcommon/loop.h"
#include "services/settings.h"

struct model;
struct model_call;

/* Do the model's settings make sense? ERR_INVALID: `ret_why` names the variable and what it takes.
 */
enum { MODEL_CONFIG_WHY_SIZE = 160 };
MUST_CHECK enum err model_check_settings(const struct settings *settings,
                                         char ret_why[MODEL_CONFIG_WHY_SIZE]);

/* `settings` are borrowed. */
struct model *model_new(struct loop *loop, const struct settings *settings);
void model_destroy(struct model **model_p);

/* The answer: {message, usage, finish_reason, model?} (see model_draft.h), or {error, code,
 * outcome}: why there is none, for a person; its code (see model_error.h), "" when there is none;
 * and whether the run should be tried again ("retry") or not ("failed"). Borrowed. */
typedef void model_done_fn(void *arg, const json_t *answer);

/* Asks with `request`: {messages, tools?, tool_choice?, model?, max_completion_tokens?,
 * traceparent?, tracestate? (the caller has checked these two)} (borrowed),
 * within `timeout_ms`, retrying what may pass. `done` is called once, later. */
struct model_call *model_ask(struct model *model, const json_t *request, int64_t timeout_ms,
                             model_done_fn *done, void *arg);
/* What the model has said so far (see model_draft_text); false: nothing. `ret_number`, above 0: of
 * the try that it is from, another one for each try of each call. */
bool model_text(struct model_call *call, const char **ret_text, size_t *ret_len,
                uint64_t *ret_number);
/* `done` is not called any more; NULL is fine. */
void model_cancel(struct model_call **call_p);

#endif
