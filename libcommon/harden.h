/* What a process gives up at its start because it will never need it. Linux; before any thread. */
#ifndef MCPBUS_HARDEN_H
#define MCPBUS_HARDEN_H

#include <stdbool.h>

/* No new privileges through programs that it runs, no capabilities but two, kept only if it has
 * them: to bind a port below 1024 and to read what belongs to another user (the key folder, again
 * and again). Without `dumps` its memory is in no core dump and no other process of its user may
 * look into it. What the kernel refuses is left out: a sandbox around us may be stricter. */
void harden(bool dumps);

#endif
