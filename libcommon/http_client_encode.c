#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/http_client.h"
#include "libcommon/mem.h"

static void encode(struct buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    static const char hex[] = "0123456789ABCDEF";
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (strchr(plain, c)) {
            buf_add_char(out, (char)c);
        } else {
            const char triple[3] = {'%', hex[c >> 4], hex[c & 15]};
            buf_add(out, triple, sizeof triple);
        }
    }
}

char *http_url_encode(const char *text)
{
    struct buf out;
    buf_init(&out, 3 * strlen(text) + 1);
    encode(&out, text);
    return buf_steal(&out);
}

char *http_form_encode(const char *const *pairs)
{
    struct buf out;
    size_t max = 1;
    for (const char *const *p = pairs; *p; p++)
        max += 3 * strlen(*p) + 1;
    buf_init(&out, max);
    for (; pairs[0] && pairs[1]; pairs += 2) {
        if (out.len)
            buf_add_char(&out, '&');
        encode(&out, pairs[0]);
        buf_add_char(&out, '=');
        encode(&out, pairs[1]);
    }
    return buf_steal(&out);
}
