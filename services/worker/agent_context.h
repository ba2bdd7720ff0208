/* What a model is sent has to fit into what it can read. Nobody knows a model's tokens but itself:
 * they are estimated from bytes, by what its last answer said that it read. Pure. */
#ifndef MCPBUS_WORKER_AGENT_CONTEXT_H
#define MCPBUS_WORKER_AGENT_CONTEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A conversation: the system's message, earlier turns (user and assistant), the task (user), then
 * the run's own turns: an assistant's message with calls, a tool's message for each. */
struct agent_context {
    json_t *messages;
    size_t task_at;  /* index of the task, which is never touched */
    size_t fresh_at; /* index of the newest turn: what the model has not read yet */
    size_t extra;    /* bytes of the tools that go with it */
    size_t max_bytes;
    int64_t max_tokens;
    double tokens_per_byte;
    size_t sent; /* bytes of the last question */
};

/* `max_tokens`: what the model reads, at most. Takes `messages` over. */
void agent_context_init(struct agent_context *context, json_t *messages, size_t task_at,
                        int64_t max_tokens, size_t max_bytes);
void agent_context_fini(struct agent_context *context);

/* About the tokens of the next question. */
int64_t agent_context_tokens(const struct agent_context *context);
int64_t agent_context_estimate(const struct agent_context *context, size_t bytes);

/* Makes room, if that is needed, in this order: oldest tool results are shortened, then removed;
 * oldest earlier turns are removed; long texts of the run's older turns are shortened; then the
 * newest results, evenly; then oldest turns of the run are removed. Each leaves a visible marker
 * but earlier turns. False: it fits in no way. */
bool agent_context_fit(struct agent_context *context);

/* The model has answered a question of the last size: it read so many tokens. */
void agent_context_learn(struct agent_context *context, int64_t input_tokens);
/* The model could not read a question of the last size. */
void agent_context_exceeded(struct agent_context *context);

#endif
