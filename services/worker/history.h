/* What earlier attempts of a run did, told by the job's events: the conversation with the model up
 * to the last recorded tool call is built from them again, so that the next attempt goes on behind
 * it. The worker's loop gathers the events, bounded; the run's own process reads them. */
#ifndef MCPBUS_WORKER_HISTORY_H
#define MCPBUS_WORKER_HISTORY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HISTORY_BYTES_MAX = 3 << 20, /* of a history; then old results are shortened, then go */
    HISTORY_EVENTS_MAX = 4096,
    HISTORY_CALLS_MAX = 128, /* of one turn */
};

/* Takes one event in, {type, data}, of a history that began as an empty array; the events come in
 * order. Those that tell nothing of the conversation are skipped. */
void history_add(json_t *history, const json_t *event);

/* The calls of the last turn are `open` while one of them has no answer yet; each has
 * {id, name, arguments, state, content?, is_error?, reason?}. States: */
#define HISTORY_CALLED "called"   /* begun; without content its outcome is unknown */
#define HISTORY_PENDING "pending" /* waits for approval */
#define HISTORY_APPROVED "approved"
#define HISTORY_DENIED "denied" /* for the `reason` */

struct history_past {
    json_t *messages; /* to put behind the task; without answers to the open calls */
    json_t *open;     /* or NULL */
    json_t *usage;    /* the last that was told; or NULL */
    json_t *searches; /* the arguments of AGENT_SEARCH_TOOL's calls */
    int64_t turns;
    size_t dropped; /* calls that are not shown any more */
};

/* `history` may be NULL, and anything. */
void history_rebuild(const json_t *history, struct history_past *ret_past);
void history_past_fini(struct history_past *past);

/* What the model is told about a call whose outcome is unknown. */
extern const char history_unknown_outcome[];

#endif
