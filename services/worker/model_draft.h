/* A chat completion on its way to becoming the run's answer: put together from the chunks of a
 * stream, or from one whole body, over the ways in which endpoints deviate from OpenAI's. Pure;
 * everything that goes in may be an attacker's. */
#ifndef MCPBUS_WORKER_MODEL_DRAFT_H
#define MCPBUS_WORKER_MODEL_DRAFT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "libcommon/err.h"

enum {
    MODEL_WHY_SIZE = 400,
    MODEL_CALLS_MAX = 64,
    MODEL_NAME_MAX = 128,            /* bytes of a model's name */
    MODEL_TEXT_MAX = 2 << 20,        /* of an answer's text */
    MODEL_ARGUMENTS_MAX = 1 << 20,   /* of all arguments of an answer's tool calls */
    MODEL_ANSWER_JSON_MAX = 4 << 20, /* of all of it, as JSON */
};

struct model_draft;

struct model_draft *model_draft_new(void);
void model_draft_destroy(struct model_draft **draft_p);

/* Takes in a `chat.completion.chunk`, or a whole `chat.completion`. ERR_INVALID, ERR_TOO_LARGE:
 * `ret_why` says what is wrong; nothing more can be added then. */
MUST_CHECK enum err model_draft_add(struct model_draft *draft, const json_t *json,
                                    char ret_why[MODEL_WHY_SIZE]);

/* Has the model said that (and why) it is at the end? What may still come is the usage. */
bool model_draft_finished(const struct model_draft *draft);
/* Has it said anything? */
bool model_draft_begun(const struct model_draft *draft);
/* What of the answer's text is there already: the beginning of what model_draft_end would say, if
 * the model went on. Empty while it thinks. Valid UTF-8, borrowed until more is added. */
const char *model_draft_text(struct model_draft *draft, size_t *ret_len);

/* The answer as the run gets it (see run.h): {message: {role, content, refusal?, tool_calls?},
 * usage?: {input_tokens, output_tokens, total_tokens, cached_tokens, reasoning_tokens},
 * finish_reason: stop, length, tool_calls, content_filter or error, model?}, holding only what the
 * API defines. Calls have distinct ids, names that may be sent back, and arguments as text. Without
 * `usage`: the endpoint told none. */
MUST_CHECK enum err model_draft_end(struct model_draft *draft, json_t **ret_answer,
                                    char ret_why[MODEL_WHY_SIZE]);

/* A call's id of the form that every endpoint takes; Mistral wants nine letters and digits. */
void model_new_call_id(char ret_id[10]);

#endif
