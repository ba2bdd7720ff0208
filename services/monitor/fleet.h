/* Every replica on the bus, as it describes itself: asked about once a second while somebody looks,
 * a bounded number at once, so that one that is silent delays nothing. Loop's thread only. */
#ifndef MCPBUS_MONITOR_FLEET_H
#define MCPBUS_MONITOR_FLEET_H

#include <jansson.h>
#include <stdbool.h>

#include "libcommon/bus.h"
#include "libcommon/loop.h"

enum { FLEET_MAX = 500 };

struct fleet;

struct fleet *fleet_new(struct loop *loop, struct bus *bus);
void fleet_destroy(struct fleet **fleet_p);

/* Somebody looks: asks those whose last word is older than a second. */
void fleet_look(struct fleet *fleet);
/* Has each been heard, or been silent for long enough? */
bool fleet_settled(const struct fleet *fleet);
/* `settled` is called, from the loop, whenever that has become so. */
void fleet_on_settled(struct fleet *fleet, void (*settled)(void *arg), void *arg);

/* [{service, instance, host, version, pid, uptime_ms, memory_bytes, requests, problem, reachable}],
 * in the order of services and instances. One that fell silent and was then given up by the brokers
 * stays for half a minute, for it may be frozen; one that has left, or whose connection broke, does
 * not. The caller's. */
json_t *fleet_list(const struct fleet *fleet);

enum fleet_state { FLEET_GONE, FLEET_SILENT, FLEET_WELL };
/* `ret_about`: what it said last, borrowed; NULL: nothing yet. */
enum fleet_state fleet_find(const struct fleet *fleet, const char *service, const char *instance,
                            const json_t **ret_about);

#endif
