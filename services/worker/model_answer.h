/* What a chat-completions endpoint answered, checked strictly: it may be anything. */
#ifndef MCPBUS_WORKER_MODEL_ANSWER_H
#define MCPBUS_WORKER_MODEL_ANSWER_H

#include <jansson.h>
#include <stddef.h>

#include "libcommon/err.h"

enum { MODEL_WHY_SIZE = 400, MODEL_CALLS_MAX = 64 };

/* A 200's body → {message: {role, content, tool_calls?}, usage: {input_tokens, …}}, holding only
 * what the API defines; tool calls have distinct ids and arguments as text. ERR_INVALID: `ret_why`
 * says what is wrong. */
MUST_CHECK enum err model_answer_parse(const char *body, size_t len, json_t **ret_answer,
                                       char ret_why[MODEL_WHY_SIZE]);

/* Why a request was refused, from the error's body, for a person: never with `key` in it. Also its
 * code ("insufficient_quota"), "" when there is none. */
void model_error_text(const char *body, size_t len, const char *key, char ret_why[MODEL_WHY_SIZE],
                      char ret_code[64]);

#endif
