/* PID namespaces with a /proc of their own, so that no run sees another's processes: for the zygote
 * (with it everything below it dies, by the kernel's word) and inside of that for each run.
 *
 *     worker ── gate: isolation_unshare, forks the zygote, exits
 *     └─ zygote: init of the outer namespace; isolation_begin
 *        └─ run: isolation_fork, init of its own; isolation_enter
 *
 * A privileged worker needs no more; an ordinary user's gets its rights from a user namespace, in
 * which it keeps its ids. Only the single thread of a forked child may call what is here. */
#ifndef MCPBUS_WORKER_ISOLATION_H
#define MCPBUS_WORKER_ISOLATION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What failed, with errno. */
enum isolation_step {
    ISOLATION_OK,
    ISOLATION_UNWANTED,
    ISOLATION_UNSHARE,
    ISOLATION_IDS,
    ISOLATION_MOUNTS,
    ISOLATION_PROC,
    ISOLATION_RUN,
    ISOLATION_START,
};
enum { ISOLATION_WHY_SIZE = 120 };

void isolation_why(enum isolation_step step, int error, char ret_why[ISOLATION_WHY_SIZE]);

/* The next child is init of a new PID namespace; mounts are its own from now on. */
enum isolation_step isolation_unshare(void);
/* In the outer namespace's init: gives it its /proc, and tries with a child whether runs can have
 * theirs. `ret_own` is for isolation_fork. */
enum isolation_step isolation_begin(int *ret_own);
/* fork(2) with glibc's handlers, which a raw clone would skip; the child is init of a namespace of
 * its own, and the pid is the caller's. */
pid_t isolation_fork(int own);
/* In that child: its own /proc, and no capability that leads out of it. */
enum isolation_step isolation_enter(void);

#endif
