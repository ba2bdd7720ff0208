/* The one table of routes: method and path pattern to handler. */
#ifndef MCPBUS_GATEWAY_ROUTES_H
#define MCPBUS_GATEWAY_ROUTES_H

#include "libcommon/http_routes.h"

struct call;
typedef void route_fn(struct call *call);

struct route {
    struct http_route http;
    bool auth;
    route_fn *handler;
};

extern const struct route routes[];
extern const struct http_routes route_table; /* the same, to be searched */

#endif
