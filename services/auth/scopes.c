#include "services/auth/scopes.h"

#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/mem.h"

enum { NAMES_MAX = 64, WHY_MAX_BYTES = 512, REQUEST_MAX_BYTES = 4096 };

static const struct {
    const char *name, *url;
} table[] = {
#define SCOPE(name, url, description) {name, url},
#include "proto/scopes.def"
#undef SCOPE
};

enum { TABLE_COUNT = sizeof(table) / sizeof(*table) };

const char *scopes_url(const char *name)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].url;
    return NULL;
}

static bool array_has(const json_t *array, const char *text)
{
    size_t i;
    const json_t *item;
    json_array_foreach(array, i, item) if (json_is_string(item) &&
                                           strcmp(json_string_value(item), text) == 0) return true;
    return false;
}

/* The list as the original's clients know it, ['a', 'b']; nothing in a name may look like more. */
static char *invalid_names(const json_t *names)
{
    struct buf why;
    buf_init(&why, WHY_MAX_BYTES);
    const char *separator = "Invalid scopes: [";
    size_t i;
    const json_t *name;
    json_array_foreach(names, i, name)
    {
        const char *text = json_is_string(name) ? json_string_value(name) : "";
        if (scopes_url(text))
            continue;
        buf_printf(&why, "%s'", separator);
        for (size_t k = 0; text[k] && k < 64; k++)
            buf_add_char(
                &why, (text[k] > ' ' && text[k] < 0x7f && !strchr("'\\", text[k])) ? text[k] : '?');
        buf_add_char(&why, '\'');
        separator = ", ";
    }
    buf_add_char(&why, ']');
    enum err err = buf_check(&why);
    char *text = err ? mem_strdup("Invalid scopes") : buf_steal(&why);
    buf_fini(&why);
    return text;
}

enum err scopes_check(const json_t *names, json_t **ret_names, char **ret_why)
{
    if (!json_is_array(names) || json_array_size(names) > NAMES_MAX) {
        *ret_why = mem_strdup("scopes must be a list of at most 64 names");
        return ERR_INVALID;
    }
    json_t *checked = json_array();
    size_t i;
    const json_t *name;
    json_array_foreach(names, i, name)
    {
        const char *text = json_is_string(name) ? json_string_value(name) : "";
        if (!scopes_url(text)) {
            json_decref(checked);
            *ret_why = invalid_names(names);
            return ERR_INVALID;
        }
        if (!array_has(checked, text))
            json_array_append_new(checked, json_string(text));
    }
    *ret_names = checked;
    return ERR_OK;
}

char *scopes_request(const json_t *names)
{
    struct buf text;
    buf_init(&text, REQUEST_MAX_BYTES);
    buf_add_str(&text, "openid email profile");
    size_t i;
    const json_t *name;
    json_array_foreach(names, i, name)
    {
        const char *url = json_is_string(name) ? scopes_url(json_string_value(name)) : NULL;
        if (url)
            buf_printf(&text, " %s", url);
    }
    char *stolen = buf_steal(&text);
    buf_fini(&text);
    return stolen;
}

static bool text_has(const char *list, const char *url)
{
    size_t len = strlen(url);
    for (const char *at = list; (at = strstr(at, url)); at += len)
        if ((at == list || at[-1] == ' ') && (at[len] == '\0' || at[len] == ' '))
            return true;
    return false;
}

json_t *scopes_granted(const json_t *names, const json_t *granted)
{
    json_t *urls = json_array();
    size_t i;
    const json_t *name;
    json_array_foreach(names, i, name)
    {
        const char *text = json_is_string(name) ? json_string_value(name) : "";
        const char *url = scopes_url(text);
        if (!url && strncmp(text, "https://", 8) == 0)
            url = text;
        if (!url || array_has(urls, url))
            continue;
        if (json_is_string(granted) ? text_has(json_string_value(granted), url)
                                    : array_has(granted, url))
            json_array_append_new(urls, json_string(url));
    }
    return urls;
}
