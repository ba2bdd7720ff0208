/* Child processes as the kernel knows them. */
#ifndef MCPBUS_WORKER_PROC_H
#define MCPBUS_WORKER_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Calls `fn` for each child of this process (of one thread), zombies included; how many there
 * were. */
size_t proc_each_child(void (*fn)(void *arg, pid_t pid), void *arg);

/* Calls `fn` for each living process that this one has started, and they in turn, with the bytes of
 * memory that it has resident: as /proc shows them, one moment after the other. */
void proc_each_descendant(void (*fn)(void *arg, pid_t pid, int64_t resident), void *arg);

#endif
