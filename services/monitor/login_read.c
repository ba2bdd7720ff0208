#include "services/monitor/login_read.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "libcommon/crypto.h"
#include "libcommon/mem.h"

char *login_read_cookie(const char *header, const char *name)
{
    size_t len = strlen(name);
    if (strlen(header) > LOGIN_HEADER_MAX)
        return NULL;
    for (const char *at = header; *at; at += *at == ';') {
        at += strspn(at, " \t");
        size_t end = strcspn(at, ";");
        if (end > len && strncmp(at, name, len) == 0 && at[len] == '=')
            return mem_strndup(at + len + 1, end - len - 1);
        at += end;
    }
    return NULL;
}

static const char *behind_scheme(const char *header, const char *scheme)
{
    size_t len = strlen(scheme);
    if (strncasecmp(header, scheme, len) != 0 || header[len] != ' ')
        return NULL;
    return header + len + strspn(header + len, " ");
}

/* RFC 7617: USER:PASSWORD, of which the first colon is the border. */
static char *password_of(const char *encoded)
{
    uint8_t *plain = NULL;
    size_t len = 0;
    if (crypto_base64_decode(encoded, strlen(encoded), &plain, &len))
        return NULL;
    char *text = (char *)plain, *secret = NULL;
    const char *colon = memchr(text, ':', len);
    if (colon && !memchr(text, 0, len) && strlen(colon + 1) <= LOGIN_SECRET_MAX)
        secret = mem_strdup(colon + 1);
    mem_free_secret(&text);
    return secret;
}

char *login_read_authorization(const char *header, bool *ret_basic)
{
    if (strlen(header) > LOGIN_HEADER_MAX)
        return NULL;
    const char *bearer = behind_scheme(header, "Bearer");
    const char *basic = behind_scheme(header, "Basic");
    *ret_basic = basic != NULL;
    if (bearer)
        return mem_strdup(bearer);
    return basic ? password_of(basic) : NULL;
}

static bool is_origin_of(const char *origin, const char *scheme, const char *host)
{
    size_t len = strlen(scheme);
    return strncasecmp(origin, scheme, len) == 0 && *host && strcasecmp(origin + len, host) == 0;
}

bool login_is_own_origin(const char *origin, const char *host, bool https, const char *public_url)
{
    if (is_origin_of(origin, "https://", host) || (!https && is_origin_of(origin, "http://", host)))
        return true;
    const char *rest = public_url ? strstr(public_url, "://") : NULL;
    if (!rest)
        return false;
    size_t len = (size_t)(rest + 3 - public_url) + strcspn(rest + 3, "/?#");
    return strlen(origin) == len && strncasecmp(origin, public_url, len) == 0;
}

/* The next item of a list with commas, without the white space around it; NULL: the end. */
static const char *next_item(const char **at_p, size_t *ret_len)
{
    const char *at = *at_p;
    if (!at)
        return NULL;
    size_t len = strcspn(at, ",");
    *at_p = at[len] ? at + len + 1 : NULL;
    size_t blank = strspn(at, " \t");
    at += blank < len ? blank : len;
    len -= blank < len ? blank : len;
    while (len > 0 && strchr(" \t", at[len - 1]))
        len--;
    *ret_len = len;
    return at;
}

static bool is_address(const char *text, size_t len)
{
    const char *at = memchr(text, '@', len);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || strchr("<>\"\\;:", text[i]))
            return false;
    return at && at > text && at < text + len - 1 && len < 255 &&
           !memchr(at + 1, '@', (size_t)(text + len - at - 1));
}

bool login_admins_are_good(const char *admins)
{
    size_t len;
    const char *item;
    bool any = false;
    for (const char *at = admins; (item = next_item(&at, &len));) {
        if (len > 0 && !is_address(item, len))
            return false;
        any = any || len > 0;
    }
    return any;
}

bool login_admins_have(const char *admins, const char *email)
{
    size_t len;
    const char *item;
    for (const char *at = admins; (item = next_item(&at, &len));)
        if (len > 0 && strlen(email) == len && strncasecmp(item, email, len) == 0)
            return true;
    return false;
}
