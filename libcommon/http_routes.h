/* A table of routes: which row a method and a path mean. What else a row says (who may, which
 * handler) is its owner's. */
#ifndef MCPBUS_HTTP_ROUTES_H
#define MCPBUS_HTTP_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

enum { HTTP_PARAM_MAX = 256, HTTP_ALLOW_SIZE = 96 };

struct http_route {
    const char *method;  /* "*" for any */
    const char *pattern; /* segments; "{name}" takes one segment, a last "**" any rest or none */
};

/* The owner's array, whose rows begin with a struct http_route called `http`. The first row that
 * fits counts. */
struct http_routes {
    const struct http_route *first;
    size_t count, row_size;
};
#define HTTP_ROUTES(rows)                                              \
    {                                                                  \
        &(rows)->http, sizeof(rows) / sizeof(*(rows)), sizeof(*(rows)) \
    }

enum http_route_match { HTTP_ROUTE_FOUND, HTTP_ROUTE_UNKNOWN, HTTP_ROUTE_WRONG_METHOD };

/* HTTP_ROUTE_FOUND: `*ret_row` and the text of "{name}" ("" without one; a longer one than
 * HTTP_PARAM_MAX is unknown). HTTP_ROUTE_WRONG_METHOD: `ret_allow` lists the methods that exist,
 * HEAD with GET. Pure; any thread. */
enum http_route_match http_routes_match(const struct http_routes *routes, const char *method,
                                        const char *path, size_t *ret_row,
                                        char ret_param[HTTP_PARAM_MAX + 1],
                                        char ret_allow[HTTP_ALLOW_SIZE]);

/* The same for a request. False: it has been answered, with a 404, or a 405 that has an Allow. */
struct http_request;
bool http_routes_find(const struct http_routes *routes, struct http_request *request,
                      size_t *ret_row, char ret_param[HTTP_PARAM_MAX + 1]);

#endif
