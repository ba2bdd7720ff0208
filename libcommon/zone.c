#include "libcommon/zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/mem.h"

#define DATABASE "/usr/share/zoneinfo/"

enum { NAME_MAX_BYTES = 64 };

static bool is_utc(const char *name)
{
    static const char *const names[] = {"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Z"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

bool zone_is_known(const char *name)
{
    char path[sizeof DATABASE + NAME_MAX_BYTES];
    size_t len = strlen(name);
    if (is_utc(name))
        return true;
    if (len == 0 || len > NAME_MAX_BYTES || *name == '/' || strstr(name, "..") ||
        name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/")] ||
        name[len - 1] == '/')
        return false;
    snprintf(path, sizeof path, DATABASE "%s", name);
    FILE *file = fopen(path, "re");
    char magic[4] = "";
    bool known = file && fread(magic, 1, sizeof magic, file) == sizeof magic &&
                 memcmp(magic, "TZif", sizeof magic) == 0;
    if (file)
        fclose(file);
    return known;
}

/* The TZ that was set before, for leave(); new, or NULL. */
static char *enter(const char *name)
{
    char value[NAME_MAX_BYTES + 2];
    char *before = mem_strdup_opt(getenv("TZ"));
    snprintf(value, sizeof value, ":%s", is_utc(name) ? "UTC" : name);
    setenv("TZ", value, 1);
    tzset();
    return before;
}

static void leave(char *before)
{
    if (before)
        setenv("TZ", before, 1);
    else
        unsetenv("TZ");
    tzset();
    free(before);
}

enum err zone_to_utc(const char *name, const struct tm *local, int64_t *ret_seconds)
{
    struct tm tm = *local;
    if (!zone_is_known(name))
        return ERR_NOT_FOUND;
    tm.tm_isdst = -1;
    char *before = enter(name);
    *ret_seconds = (int64_t)mktime(&tm);
    leave(before);
    return ERR_OK;
}

enum err zone_from_utc(const char *name, int64_t seconds, struct tm *ret_local)
{
    time_t moment = (time_t)seconds;
    struct tm tm = {0};
    if (!zone_is_known(name))
        return ERR_NOT_FOUND;
    char *before = enter(name);
    bool good = localtime_r(&moment, &tm) != NULL;
    leave(before);
    tm.tm_zone = NULL; /* it belonged to the zone that has been left */
    if (!good)
        return ERR_INVALID;
    *ret_local = tm;
    return ERR_OK;
}

enum err zone_format(const char *name, int64_t seconds, char ret_text[ZONE_TEXT_SIZE])
{
    struct tm tm;
    enum err err = zone_from_utc(name, seconds, &tm);
    if (err)
        return err;
    size_t len = strftime(ret_text, ZONE_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    long minutes = labs(tm.tm_gmtoff) / 60;
    if (tm.tm_gmtoff == 0)
        snprintf(ret_text + len, ZONE_TEXT_SIZE - len, "Z");
    else
        snprintf(ret_text + len, ZONE_TEXT_SIZE - len, "%c%02ld:%02ld",
                 tm.tm_gmtoff < 0 ? '-' : '+', minutes / 60, minutes % 60);
    return ERR_OK;
}
