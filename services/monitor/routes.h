/* The one table of routes: method and path pattern to handler. Pure; any thread. */
#ifndef MCPBUS_MONITOR_ROUTES_H
#define MCPBUS_MONITOR_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

struct call;
typedef void route_fn(struct call *call);

enum { ROUTE_PARAM_MAX = 256, ROUTE_ALLOW_SIZE = 64 };

struct route {
    const char *method;
    const char *pattern; /* segments; "*" takes one, a last "**" any rest */
    bool open;           /* without a sign-in */
    route_fn *handler;
};

extern const struct route routes[];
extern const size_t route_count;

enum route_match { ROUTE_FOUND, ROUTE_UNKNOWN, ROUTE_WRONG_METHOD };

/* ROUTE_FOUND: `*ret_route` and the text that "*" took ("" without one; a longer one than
 * ROUTE_PARAM_MAX is unknown). ROUTE_WRONG_METHOD: `ret_allow` lists the methods that exist. */
enum route_match routes_match(const struct route *table, size_t count, const char *method,
                              const char *path, const struct route **ret_route,
                              char ret_param[ROUTE_PARAM_MAX + 1],
                              char ret_allow[ROUTE_ALLOW_SIZE]);

#endif
