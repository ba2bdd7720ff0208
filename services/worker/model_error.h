/* Why an endpoint gave no answer, from error bodies of many shapes: OpenAI, Azure, vLLM, llama.cpp,
 * Ollama, OpenRouter, Gemini's and Anthropic's compatible ones, FastAPI. Pure. */
#ifndef MCPBUS_WORKER_MODEL_ERROR_H
#define MCPBUS_WORKER_MODEL_ERROR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/worker/model_draft.h"

enum { MODEL_CODE_SIZE = 64, MODEL_ERROR_BODY_MAX = 64 << 10 };

struct model_error {
    int status;                 /* of HTTP; what the body says it is, inside a 200; 0: unknown */
    char why[MODEL_WHY_SIZE];   /* for a person; never with the key in it */
    char code[MODEL_CODE_SIZE]; /* as the run gets it: context_length_exceeded,
                                 * insufficient_quota, invalid_api_key, rate_limit_exceeded,
                                 * content_filter, overloaded; else the endpoint's own, or "" */
    char param[MODEL_CODE_SIZE];
    int64_t retry_after_ms; /* what the body says; −1: nothing */
};

/* From a refusal's body, whatever it is. */
void model_error_read(const char *body, size_t len, int status, const char *key,
                      struct model_error *ret_error);
/* From JSON that may hold an error where an answer was due; false: there is none in it. */
bool model_error_inside(const json_t *json, const char *key, struct model_error *ret_error);

/* May the same request succeed later? `should_retry` is x-should-retry, "" when none. */
bool model_error_passes(const struct model_error *error, const char *should_retry);
/* Does the endpoint want to be left alone for a while, by everyone? */
bool model_error_is_limit(const struct model_error *error);

#endif
