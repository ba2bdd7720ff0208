#include "services/sandbox/scopes.h"

#include <string.h>

const struct scope_info scope_infos[SCOPE_COUNT] = {
#define SCOPE(name, url, alias, text) {url, alias, text},
    SCOPES(SCOPE)
#undef SCOPE
};

static bool same(const char *known, const char *name, size_t len)
{
    return known && strlen(known) == len && memcmp(known, name, len) == 0;
}

uint32_t scope_from_name(const char *name, size_t len)
{
    for (int i = 0; i < SCOPE_COUNT; i++)
        if (same(scope_infos[i].url, name, len) || same(scope_infos[i].alias, name, len))
            return UINT32_C(1) << i;
    return 0;
}

enum err scopes_parse(const char *text, uint32_t *ret_scopes)
{
    uint32_t scopes = 0;
    while (*text) {
        size_t len = strcspn(text, " ");
        uint32_t scope = scope_from_name(text, len);
        if (len && !scope)
            return ERR_INVALID;
        scopes |= scope;
        text += len;
        text += strspn(text, " ");
    }
    if (!scopes)
        return ERR_INVALID;
    *ret_scopes = scopes;
    return ERR_OK;
}

void scopes_write(uint32_t scopes, struct buf *out)
{
    const char *gap = "";
    for (int i = 0; i < SCOPE_COUNT; i++) {
        if (!(scopes & UINT32_C(1) << i))
            continue;
        buf_printf(out, "%s%s", gap, scope_infos[i].url);
        gap = " ";
    }
}
