#include "services/google/addresses.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_plain(const char *text, size_t len)
{
    const char *at = memchr(text, '@', len);
    if (!at || at == text || at + 1 == text + len ||
        memchr(at + 1, '@', (size_t)(text + len - at - 1)))
        return false;
    for (size_t i = 0; i < len; i++)
        if (isspace((unsigned char)text[i]) || iscntrl((unsigned char)text[i]) ||
            strchr("<>,;:\"()[]\\", text[i]))
            return false;
    return true;
}

static bool read_part(const char *text, size_t len, char ret_address[ADDRESS_SIZE])
{
    const char *open = memchr(text, '<', len);
    const char *close = open ? memchr(open, '>', (size_t)(text + len - open)) : NULL;
    if (open && close) {
        text = open + 1;
        len = (size_t)(close - text);
    }
    while (len && isspace((unsigned char)*text))
        text++, len--;
    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    if (len == 0 || len >= ADDRESS_SIZE || !is_plain(text, len))
        return false;
    memcpy(ret_address, text, len);
    ret_address[len] = '\0';
    return true;
}

bool address_read(const char *text, char ret_address[ADDRESS_SIZE])
{
    return read_part(text, strlen(text), ret_address);
}

static bool has(const json_t *list, const char *address)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (strcasecmp(json_string_value(one), address) == 0)
            return true;
    }
    return false;
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isspace((unsigned char)text[i]))
            return false;
    return true;
}

/* The addresses of one text; separators within quotation marks belong to a name. */
static bool read_text(json_t *list, const char *text, char *ret_bad)
{
    char address[ADDRESS_SIZE];
    while (*text) {
        size_t len = 0;
        for (bool quoted = false; text[len] && (quoted || !strchr(",;\r\n", text[len])); len++)
            quoted = quoted != (text[len] == '"');
        if (!is_blank(text, len)) {
            if (!read_part(text, len, address)) {
                snprintf(ret_bad, ADDRESS_SIZE, "%.*s", len > 100 ? 100 : (int)len, text);
                return false;
            }
            if (!has(list, address))
                json_array_append_new(list, json_string(address));
        }
        text += len + (text[len] != '\0');
    }
    return true;
}

json_t *addresses_read(const json_t *value, char ret_bad[ADDRESS_SIZE])
{
    json_t *list = json_array(), *one;
    size_t i;
    bool good = true;
    ret_bad[0] = '\0';
    if (json_is_string(value))
        good = read_text(list, json_string_value(value), ret_bad);
    json_array_foreach(value, i, one)
    {
        good = good && read_text(list, json_string_value(one), ret_bad);
    }
    if (good && json_array_size(list) <= ADDRESSES_MAX)
        return list;
    json_decref(list);
    return NULL;
}
