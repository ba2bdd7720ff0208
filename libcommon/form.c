#include "libcommon/form.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "libcommon/mem.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL when the decoded text holds a NUL. */
static char *decode(const char *text, size_t len)
{
    char *out = mem_alloc(len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i] == '+' ? ' ' : text[i];
        if (c == '%' && i + 2 < len && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
            c = (char)(hex(text[i + 1]) * 16 + hex(text[i + 2]));
            i += 2;
        }
        out[n++] = c;
    }
    if (!memchr(out, 0, n))
        return out;
    free(out);
    return NULL;
}

char *form_value(const char *form, size_t len, const char *name, unsigned nth)
{
    const char *end = form + len;
    for (const char *pair = form; pair < end;) {
        const char *stop = memchr(pair, '&', (size_t)(end - pair));
        stop = stop ? stop : end;
        const char *equals = memchr(pair, '=', (size_t)(stop - pair));
        if (equals) {
            AUTOFREE char *key = decode(pair, (size_t)(equals - pair));
            if (key && strcmp(key, name) == 0 && nth-- == 0)
                return decode(equals + 1, (size_t)(stop - equals - 1));
        }
        pair = stop + 1;
    }
    return NULL;
}

void url_encode(struct buf *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("-._~", c))
            buf_add_char(out, *text);
        else
            buf_printf(out, "%%%02X", c);
    }
}

void html_escape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '&')
            buf_add_str(out, "&amp;");
        else if (*text == '<')
            buf_add_str(out, "&lt;");
        else if (*text == '>')
            buf_add_str(out, "&gt;");
        else if (*text == '"')
            buf_add_str(out, "&quot;");
        else if (*text == '\'')
            buf_add_str(out, "&#39;");
        else
            buf_add_char(out, *text);
    }
}

static size_t scheme_len(const char *url)
{
    if (strncasecmp(url, "http://", 7) == 0)
        return 7;
    return strncasecmp(url, "https://", 8) == 0 ? 8 : 0;
}

size_t url_origin_len(const char *url)
{
    size_t scheme = scheme_len(url);
    return scheme + strcspn(url + scheme, "/?#");
}

bool url_is_redirectable(const char *url)
{
    size_t scheme = scheme_len(url), origin = url_origin_len(url);
    if (scheme == 0 || origin == scheme || strlen(url) > 2048)
        return false;
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c > '~' || strchr("\"'<>\\^`{|}#", *c))
            return false;
    /* ';' and ',' would end the source in the page's Content-Security-Policy. */
    for (size_t i = scheme; i < origin; i++)
        if (!isalnum((unsigned char)url[i]) && !strchr("-.:[]", url[i]))
            return false;
    return true;
}
