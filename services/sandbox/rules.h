/* The stand-in for a model's mind: which tools a message asks for, and what the answer says. Pure.
 */
#ifndef MCPBUS_SANDBOX_RULES_H
#define MCPBUS_SANDBOX_RULES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { RULES_CALLS_MAX = 64, RULES_ANSWER_MAX = 4096 };

/* The text of a message's content: a string, or an array of {type: "text", text}; free() it. */
char *rules_text(const json_t *message);

/* The last user message's index, or -1. */
long rules_last_user(const json_t *messages);

/* The calls to make now: an array of {name, arguments (text)}, empty when it is time to answer.
 * `messages` and `tools` are those of the request. `loop`: call a tool whatever happened before. */
json_t *rules_calls(const json_t *messages, const json_t *tools, int64_t now_ms, bool loop);

/* The final answer, of at most RULES_ANSWER_MAX bytes: the essential lines of the tools' results
 * since the last user message, or that message again. free() it. */
char *rules_answer(const json_t *messages);

#endif
