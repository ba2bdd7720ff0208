/* The parts of the chat completions endpoint. */
#ifndef MCPBUS_SANDBOX_OPENAI_H
#define MCPBUS_SANDBOX_OPENAI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/buf.h"

/* What is wrong with a request, as strictly as OpenAI looks. Pure. */
struct openai_fault {
    char message[512];
    char param[128];
    const char *code; /* NULL: none */
};
/* False: *ret_fault (only then) says why. */
bool openai_check(const json_t *request, struct openai_fault *ret_fault);

/* One completion. */
struct completion {
    const char *id, *model; /* borrowed */
    int64_t created;
    char *text;    /* NULL when there are calls */
    json_t *calls; /* of rules_calls */
    int64_t prompt_tokens, completion_tokens, cached_tokens;
    bool usage_chunk;                /* stream_options.include_usage */
    bool no_usage, no_done, refusal; /* the text is a refusal */
    const char *finish;              /* NULL: what fits */
};
void completion_fini(struct completion *completion);
/* As one object, the caller's; or appended as server-sent events. Pure. */
json_t *completion_object(const struct completion *completion);
void completion_events(const struct completion *completion, struct buf *out);

#endif
