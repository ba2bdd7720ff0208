/* Waiting jobs, in turn by user: each turn of the round gives one user one job (deficit round robin
 * with jobs that all cost the same). So a user's thousand jobs delay another's first by one. Pure:
 * no I/O, no clock. A hint: the store decides what may really run, and what does not fit here is
 * found there later. An id is in it once. */
#ifndef MCPBUS_JOBS_FAIR_QUEUE_H
#define MCPBUS_JOBS_FAIR_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/err.h"

struct fair_queue;

/* `max` ids in all. */
struct fair_queue *fair_queue_new(size_t max);
void fair_queue_destroy(struct fair_queue **queue_p);

enum fair_queue_pushed { FAIR_QUEUE_PUSHED, FAIR_QUEUE_KNOWN, FAIR_QUEUE_FULL };
enum fair_queue_pushed fair_queue_push(struct fair_queue *queue, const char *job_id,
                                       const char *user_id);
/* The next job; free() both. False when it is empty. */
MUST_CHECK bool fair_queue_pop(struct fair_queue *queue, char **ret_job_id, char **ret_user_id);

size_t fair_queue_count(const struct fair_queue *queue);
/* A user's jobs here, with what is held for them. */
size_t fair_queue_user_count(const struct fair_queue *queue, const char *user_id);
/* Counts jobs that are on their way in for a user (`n` may be negative). */
void fair_queue_hold(struct fair_queue *queue, const char *user_id, int n);

#endif
