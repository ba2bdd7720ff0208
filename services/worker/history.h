/* The tool calls that earlier attempts of a run have made, from the job's events. A call without a
 * recorded answer may have acted: it is not repeated unless its tool says that this does no harm.
 * A history is a JSON array of {id, name, arguments, content?, is_error?}. */
#ifndef MCPBUS_WORKER_HISTORY_H
#define MCPBUS_WORKER_HISTORY_H

#include <jansson.h>
#include <stddef.h>

enum { HISTORY_MAX = 256, HISTORY_CONTENT_MAX = 8 << 10 };

/* Takes one event in, {type, data}; the events come in order. Others than tool_call and tool_result
 * are skipped. */
void history_add(json_t *history, const json_t *event);

/* The first entry for the same call that has not been used up, borrowed, or NULL. One with an
 * answer is used up by that: a second call of the kind is a new one. */
const json_t *history_take(json_t *history, const char *name, const json_t *arguments);

/* What the model should know of it, "" when there is nothing; at most `max` bytes. free() it. */
char *history_notes(const json_t *history, size_t max);

#endif
