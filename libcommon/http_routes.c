#include "libcommon/http_routes.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/http_server.h"

/* Length of the segment at `text`, which begins behind a slash. */
static size_t segment(const char *text)
{
    return strcspn(text, "/");
}

static bool matches(const char *pattern, const char *path, char *param)
{
    param[0] = '\0';
    while (*pattern == '/' && *path == '/') {
        size_t want = segment(++pattern);
        size_t have = segment(++path);
        if (want == 2 && memcmp(pattern, "**", 2) == 0)
            return true;
        if (pattern[0] == '{') {
            if (have == 0 || have > HTTP_PARAM_MAX)
                return false;
            memcpy(param, path, have);
            param[have] = '\0';
        } else if (want != have || memcmp(pattern, path, want) != 0) {
            return false;
        }
        pattern += want;
        path += have;
    }
    return *path == '\0' && (*pattern == '\0' || strcmp(pattern, "/**") == 0);
}

static void allow_add(char *allow, const char *method)
{
    size_t len = strlen(allow);
    if (strstr(allow, method)) /* no method's name is part of another's */
        return;
    snprintf(allow + len, HTTP_ALLOW_SIZE - len, "%s%s", len ? ", " : "", method);
    if (strcmp(method, "GET") == 0)
        allow_add(allow, "HEAD");
}

static const struct http_route *row_at(const struct http_routes *routes, size_t row)
{
    return (const void *)((const char *)routes->first + row * routes->row_size);
}

enum http_route_match http_routes_match(const struct http_routes *routes, const char *method,
                                        const char *path, size_t *ret_row,
                                        char ret_param[HTTP_PARAM_MAX + 1],
                                        char ret_allow[HTTP_ALLOW_SIZE])
{
    char param[HTTP_PARAM_MAX + 1], allow[HTTP_ALLOW_SIZE] = "";
    for (size_t row = 0; row < routes->count; row++) {
        const struct http_route *route = row_at(routes, row);
        bool literal = route->pattern[1] != '{' && route->pattern[1] != '*';
        if (literal && route->pattern[0] == path[0] && route->pattern[1] != path[1])
            continue; /* most of the table at a glance */
        if (!matches(route->pattern, path, param))
            continue;
        if (strcmp(route->method, "*") == 0 || strcmp(route->method, method) == 0) {
            *ret_row = row;
            memcpy(ret_param, param, strlen(param) + 1);
            return HTTP_ROUTE_FOUND;
        }
        allow_add(allow, route->method);
    }
    memcpy(ret_allow, allow, strlen(allow) + 1);
    return allow[0] ? HTTP_ROUTE_WRONG_METHOD : HTTP_ROUTE_UNKNOWN;
}

static void refuse(struct http_request *request, const char *allow)
{
    static const char unknown[] = "{\"detail\":\"Not Found\"}";
    static const char wrong_method[] = "{\"detail\":\"Method Not Allowed\"}";
    const struct http_header headers[] = {{"Allow", allow}, {0}};
    if (allow)
        http_respond(request, 405, "application/json", wrong_method, strlen(wrong_method), headers);
    else
        http_respond(request, 404, "application/json", unknown, strlen(unknown), NULL);
}

bool http_routes_find(const struct http_routes *routes, struct http_request *request,
                      size_t *ret_row, char ret_param[HTTP_PARAM_MAX + 1])
{
    char allow[HTTP_ALLOW_SIZE];
    enum http_route_match match =
        http_routes_match(routes, http_request_method(request), http_request_path(request), ret_row,
                          ret_param, allow);
    if (match != HTTP_ROUTE_FOUND)
        refuse(request, match == HTTP_ROUTE_WRONG_METHOD ? allow : NULL);
    return match == HTTP_ROUTE_FOUND;
}
