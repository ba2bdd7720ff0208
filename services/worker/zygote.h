/* The zygote: a small process, forked before the worker has threads, sockets or secrets, that forks
 * each run, kills and reaps it with all that came from it, and kills every run by its own clock
 * when the worker's lease has not been renewed (a stopped loop can't do that itself).
 * This is the loop's side; zygote_process.h is the process. */
#ifndef MCPBUS_WORKER_ZYGOTE_H
#define MCPBUS_WORKER_ZYGOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/err.h"
#include "libcommon/loop.h"

struct zygote;

enum zygote_end {
    ZYGOTE_RUN_ENDED,   /* by itself; `status` as waitpid gives it */
    ZYGOTE_RUN_EXPIRED, /* killed because the lease ran out */
};

struct zygote_events {
    void (*ended)(void *arg, uint64_t id, enum zygote_end end, int status);
    void (*lost)(void *arg); /* the zygote is gone, and all runs with it */
    void *arg;
};

/* Forks it: before threads, curl and ZeroMQ. `wipe` is called in the zygote, to overwrite what
 * secrets the process has read, and to cover what its runs may not see if its mounts are its own.
 * With `isolate`, each run gets a PID namespace where the kernel
 * allows it, else all share the worker's /proc. ERR_INTERNAL: errno says why. */
MUST_CHECK enum err zygote_fork(bool isolate, void (*wipe)(void *arg, bool own_mounts), void *arg,
                                struct zygote **ret_zygote);
/* Whether runs see only their own processes; `ret_why` not: lives as long as the zygote. */
bool zygote_isolated(const struct zygote *zygote, const char **ret_why);
void zygote_attach(struct zygote *zygote, struct loop *loop, const struct zygote_events *events);
/* All runs die with it; waits until the zygote has ended, a second at most. */
void zygote_destroy(struct zygote **zygote_p);

/* Starts a run with `fd` as its socket, which is closed here. Its end is told once by `ended`. */
void zygote_start(struct zygote *zygote, uint64_t id, int fd);
/* Kills a run and everything that came from it, then `ended` as ever. */
void zygote_kill(struct zygote *zygote, uint64_t id);
/* Runs may live until `until` (clock_ms); 0: none may, from now on. */
void zygote_lease(struct zygote *zygote, int64_t until);

#endif
