#include "services/gateway/cors.h"

#include <string.h>

#include "libcommon/mem.h"

enum { ORIGINS_MAX = 64 };

struct cors {
    bool any;
    char *text;
    const char *origins[ORIGINS_MAX];
    int count;
};

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t/", text[len - 1]))
        text[--len] = '\0';
    return text;
}

static bool is_origin(const char *text)
{
    const char *host = strstr(text, "://");
    if (strcmp(text, "*") == 0 || strcmp(text, "null") == 0)
        return true;
    if (!host || strspn(text, "abcdefghijklmnopqrstuvwxyz+-.") != (size_t)(host - text))
        return false;
    host += 3;
    return *host && host[strcspn(host, " \t/?#@\\*\"'<>")] == '\0';
}

bool cors_is_valid(const char *origins)
{
    AUTOFREE char *text = mem_strdup(origins);
    char *rest = text;
    for (char *item; (item = strsep(&rest, ","));) {
        item = trim(item);
        if (*item && !is_origin(item))
            return false;
    }
    return true;
}

struct cors *cors_new(const char *origins)
{
    struct cors *cors = mem_alloc(sizeof(*cors));
    char *rest = cors->text = mem_strdup(origins ? origins : "");
    for (char *item; (item = strsep(&rest, ","));) {
        item = trim(item);
        if (strcmp(item, "*") == 0)
            cors->any = true;
        else if (*item && cors->count < ORIGINS_MAX)
            cors->origins[cors->count++] = item;
    }
    return cors;
}

void cors_destroy(struct cors **cors_p)
{
    struct cors *cors = *cors_p;
    if (!cors)
        return;
    *cors_p = NULL;
    free(cors->text);
    free(cors);
}

const char *cors_allow(const struct cors *cors, const char *origin)
{
    if (cors->any)
        return "*";
    for (int i = 0; origin && i < cors->count; i++)
        if (strcasecmp(cors->origins[i], origin) == 0)
            return origin;
    return NULL;
}

bool cors_varies(const struct cors *cors)
{
    return !cors->any;
}
