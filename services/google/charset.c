#include "services/google/charset.h"

#include <iconv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uchardet/uchardet.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { NAME_MAX = 40, LOOK_MAX = 256 * 1024 };

/* "//" would be a request to iconv. */
static bool is_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:");
    return len > 0 && len <= NAME_MAX && !name[len];
}

/* NULL: not that set, or not text of it. */
static char *convert(const char *charset, const char *data, size_t len, size_t *ret_len)
{
    iconv_t converter = iconv_open("UTF-8", charset);
    if (converter == (iconv_t)-1)
        return NULL;
    size_t left = len, room = 4 * len + 16, cap = room;
    char *text = mem_alloc(room + 1), *in = (char *)data, *at = text;
    bool ok =
        iconv(converter, &in, &left, &at, &room) != (size_t)-1 && js_is_utf8(text, cap - room);
    iconv_close(converter);
    if (!ok) {
        free(text);
        return NULL;
    }
    *ret_len = cap - room;
    return text;
}

/* The set that a byte order mark says, and the mark's length; NULL: there is none. */
static const char *marked(const char *data, size_t len, size_t *ret_skip)
{
    static const struct {
        const char *mark, *charset;
        size_t len;
    } marks[] = {{"\xef\xbb\xbf", "UTF-8", 3},
                 {"\xff\xfe\0\0", "UTF-32LE", 4},
                 {"\0\0\xfe\xff", "UTF-32BE", 4},
                 {"\xff\xfe", "UTF-16LE", 2},
                 {"\xfe\xff", "UTF-16BE", 2}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (len >= marks[i].len && memcmp(data, marks[i].mark, marks[i].len) == 0) {
            *ret_skip = marks[i].len;
            return marks[i].charset;
        }
    }
    return NULL;
}

static char *detect(const char *data, size_t len, size_t *ret_len)
{
    uchardet_t detector = uchardet_new();
    char *text = NULL;
    if (uchardet_handle_data(detector, data, len < LOOK_MAX ? len : LOOK_MAX) == 0) {
        uchardet_data_end(detector);
        const char *charset = uchardet_get_charset(detector);
        if (*charset)
            text = convert(charset, data, len, ret_len);
    }
    uchardet_delete(detector);
    return text;
}

/* Sets that are written in ASCII's bytes, and so look like UTF-8 too. */
static bool hides_in_ascii(const char *charset)
{
    static const char *const prefixes[] = {"iso-2022-", "hz", "utf-7"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncasecmp(charset, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

char *charset_to_utf8(const char *data, size_t len, const char *declared, size_t *ret_len)
{
    size_t skip = 0;
    const char *mark = marked(data, len, &skip);
    char *text = mark ? convert(mark, data + skip, len - skip, ret_len) : NULL;
    if (!text && declared && is_name(declared) && hides_in_ascii(declared))
        text = convert(declared, data, len, ret_len);
    if (!text && memchr(data, '\x1b', len))
        text = detect(data, len, ret_len);
    if (!text && js_is_utf8(data, len)) {
        *ret_len = len;
        return mem_strndup(data, len);
    }
    if (!text && declared && is_name(declared) && strcasecmp(declared, "utf-8") != 0)
        text = convert(declared, data, len, ret_len);
    if (!text)
        text = detect(data, len, ret_len);
    if (text)
        return text;
    json_t *mended = js_string_capped(data, len, 3 * len + 1, "");
    text = mem_strdup(json_string_value(mended));
    *ret_len = strlen(text);
    json_decref(mended);
    return text;
}
