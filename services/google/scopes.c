#include "services/google/scopes.h"

#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"

static const char *const urls[SCOPE_COUNT] = {
#define SCOPE(name, url) url,
    GOOGLE_SCOPES(SCOPE)
#undef SCOPE
};

static uint32_t bit_of(const char *url)
{
    for (int i = 0; i < SCOPE_COUNT; i++)
        if (strcmp(urls[i], url) == 0)
            return UINT32_C(1) << i;
    return 0;
}

enum err scopes_parse(const char *json, uint32_t *ret_scopes)
{
    uint32_t scopes = 0;
    size_t index;
    json_t *item;
    AUTOJSON json_t *list = NULL;
    if (!json || !*json) {
        *ret_scopes = 0;
        return ERR_OK;
    }
    enum err err = js_parse(json, strlen(json), &list, NULL);
    if (err)
        return err;
    if (!json_is_array(list))
        return ERR_INVALID;
    json_array_foreach(list, index, item)
    {
        if (!json_is_string(item))
            return ERR_INVALID;
        scopes |= bit_of(json_string_value(item));
    }
    *ret_scopes = scopes;
    return ERR_OK;
}

char *scopes_names(uint32_t scopes)
{
    struct buf out;
    buf_init(&out, 4096);
    for (int i = 0; i < SCOPE_COUNT; i++) {
        if (!(scopes & UINT32_C(1) << i))
            continue;
        const char *url = urls[i];
        size_t prefix = strlen(G_AUTH);
        buf_add_str(&out, out.len ? " or " : "");
        buf_add_str(&out, strncmp(url, G_AUTH, prefix) == 0 ? url + prefix : url);
    }
    return buf_steal(&out);
}
