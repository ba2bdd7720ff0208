#include <stdio.h>
#include <string.h>

#include "services/monitor/routes.h"

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
        if (want == 1 && *pattern == '*') {
            if (have == 0 || have > ROUTE_PARAM_MAX)
                return false;
            memcpy(param, path, have);
            param[have] = '\0';
        } else if (want != have || memcmp(pattern, path, want) != 0) {
            return false;
        }
        pattern += want;
        path += have;
    }
    return *path == '\0' && *pattern == '\0';
}

static void allow_add(char *allow, const char *method)
{
    size_t len = strlen(allow);
    snprintf(allow + len, ROUTE_ALLOW_SIZE - len, "%s%s%s", len ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

enum route_match routes_match(const struct route *table, size_t count, const char *method,
                              const char *path, const struct route **ret_route,
                              char ret_param[ROUTE_PARAM_MAX + 1], char ret_allow[ROUTE_ALLOW_SIZE])
{
    char param[ROUTE_PARAM_MAX + 1], allow[ROUTE_ALLOW_SIZE] = "";
    for (size_t i = 0; i < count; i++) {
        if (!matches(table[i].pattern, path, param))
            continue;
        if (strcmp(table[i].method, method) == 0) {
            *ret_route = &table[i];
            memcpy(ret_param, param, strlen(param) + 1);
            return ROUTE_FOUND;
        }
        allow_add(allow, table[i].method);
    }
    memcpy(ret_allow, allow, strlen(allow) + 1);
    return allow[0] ? ROUTE_WRONG_METHOD : ROUTE_UNKNOWN;
}
