/* Child processes as the kernel knows them. */
#ifndef MCPBUS_WORKER_PROC_H
#define MCPBUS_WORKER_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Calls `fn` for each child of this process (of one thread), zombies included; how many there
 * were. */
size_t proc_each_child(void (*fn)(void *arg, pid_t pid), void *arg);

#endif
