#include "services/gateway/routes.h"

#include <stdio.h>
#include <string.h>

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
    return *path == '\0' && (*pattern == '\0' || strcmp(pattern, "/**") == 0);
}

static void allow_add(char *allow, const char *method)
{
    size_t len = strlen(allow);
    snprintf(allow + len, ROUTE_ALLOW_SIZE - len, "%s%s", len ? ", " : "", method);
    if (strcmp(method, "GET") == 0)
        allow_add(allow, "HEAD");
}

enum route_match routes_match(const struct route *table, size_t count, const char *method,
                              const char *path, const struct route **ret_route,
                              char ret_param[ROUTE_PARAM_MAX + 1], char ret_allow[ROUTE_ALLOW_SIZE])
{
    char param[ROUTE_PARAM_MAX + 1], allow[ROUTE_ALLOW_SIZE] = "";
    for (size_t i = 0; i < count; i++) {
        bool literal = table[i].pattern[1] != '{' && table[i].pattern[1] != '*';
        if (literal && table[i].pattern[0] == path[0] && table[i].pattern[1] != path[1])
            continue; /* most of the table at a glance */
        if (!matches(table[i].pattern, path, param))
            continue;
        if (strcmp(table[i].method, "*") == 0 || strcmp(table[i].method, method) == 0) {
            *ret_route = &table[i];
            memcpy(ret_param, param, strlen(param) + 1);
            return ROUTE_FOUND;
        }
        allow_add(allow, table[i].method);
    }
    memcpy(ret_allow, allow, strlen(allow) + 1);
    return allow[0] ? ROUTE_WRONG_METHOD : ROUTE_UNKNOWN;
}
