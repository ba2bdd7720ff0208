/* Watches what a service can't work without, its database: asks once a second, and after three
 * seconds without an answer the replica gives its place to the others (bus_set_away) until it is
 * answered again. So one that is cut off from the database keeps no request that another could
 * serve. */
#ifndef MCPBUS_BUS_REACH_H
#define MCPBUS_BUS_REACH_H

#include "libcommon/bus.h"

struct bus_reach;

struct bus_reach_options {
    struct loop *loop;
    struct bus *bus;
    /* Sends a question; bus_reach_answered(reach, …) must follow some time later. */
    void (*ask)(void *arg, struct bus_reach *reach);
    void *arg;
};

struct bus_reach *bus_reach_new(const struct bus_reach_options *options);
/* No answer may come any more. */
void bus_reach_destroy(struct bus_reach **reach_p);
/* Has it been answered within the last three seconds? */
bool bus_reach_is_there(const struct bus_reach *reach);
void bus_reach_answered(struct bus_reach *reach, enum err error);

#endif
