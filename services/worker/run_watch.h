/* What the tool servers of a run use together, all that they have started included: more processes
 * or memory than allowed, and they are killed. A rlimit can't say that: it counts for each process,
 * or for all of a user. On the run's loop. */
#ifndef MCPBUS_WORKER_RUN_WATCH_H
#define MCPBUS_WORKER_RUN_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "libcommon/loop.h"

struct run_watch_options {
    struct loop *loop;
    int64_t processes_max;
    int64_t memory_max; /* bytes that are resident */
    /* They have been killed because of `why`, a sentence for the model; from the loop. */
    void (*exceeded)(void *arg, const char *why);
    void *arg;
};

struct run_watch;
struct run_watch *run_watch_new(const struct run_watch_options *options);
void run_watch_destroy(struct run_watch **watch_p);
/* Looks at them until there is none any more: call it when one may have been started. */
void run_watch_arm(struct run_watch *watch);

#endif
