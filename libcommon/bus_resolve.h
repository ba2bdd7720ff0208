/* Brokers' names. libzmq would look them up in its one I/O thread, at each reconnect: a name server
 * that is silent then stops the connections to all brokers. So names are looked up here, each time
 * in a thread of its own, and libzmq sees numbers alone. */
#ifndef MCPBUS_BUS_RESOLVE_H
#define MCPBUS_BUS_RESOLVE_H

#include <stdbool.h>

#include "libcommon/loop.h"

enum { BUS_ADDRESS_SIZE = 64 };

struct bus_resolve;

/* Is it tcp://NUMBERS:PORT, which needs no look-up? */
bool bus_resolve_is_numeric(const char *endpoint);

/* Looks up "tcp://NAME:PORT" (of good form); `done` is called once, from the loop, with
 * tcp://NUMBERS:PORT, or NULL when there is no such name or nobody who knows. Of several addresses
 * it is the one number `turn`, modulo their count. */
struct bus_resolve *bus_resolve_begin(struct loop *loop, const char *endpoint, unsigned turn,
                                      void (*done)(void *arg, const char *address), void *arg);
/* No `done` any more; also to be called after it. */
void bus_resolve_end(struct bus_resolve **resolve_p);

#endif
