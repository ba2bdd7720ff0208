#include "libcommon/err.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name, *text;
    uint16_t wire;
    int http;
    enum err_group group;
} table[] = {
#define ERR(name, wire, group, http, text) \
    [ERR_##name] = {#name, text, wire, http, ERR_GROUP_##group},
#include "libcommon/err.def"
#undef ERR
};

const char *err_name(enum err err)
{
    return table[err].name;
}

const char *err_text(enum err err)
{
    return table[err].text;
}

uint16_t err_wire(enum err err)
{
    return table[err].wire;
}

int err_http(enum err err)
{
    return table[err].http;
}

enum err_group err_group(enum err err)
{
    return table[err].group;
}

bool err_retryable(enum err err, bool idempotent)
{
    enum err_group group = table[err].group;
    return group == ERR_GROUP_NOT_EXECUTED || (group == ERR_GROUP_UNKNOWN && idempotent);
}

bool err_from_wire(uint16_t wire, enum err *ret_err)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].wire == wire) {
            *ret_err = (enum err)i;
            return true;
        }
    }
    return false;
}

enum err err_from_name(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0)
            return (enum err)i;
    return ERR_INTERNAL;
}
