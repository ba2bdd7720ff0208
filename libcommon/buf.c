#include "libcommon/buf.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_fini(struct buf *buf)
{
    free(buf->data);
    buf_init(buf, buf->max);
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->full = false;
    if (buf->data)
        buf->data[0] = '\0';
}

char *buf_reserve(struct buf *buf, size_t len)
{
    if (buf->full || len > buf->max - buf->len) {
        buf->full = true;
        return NULL;
    }
    size_t need = buf->len + len + 1;
    if (need > buf->cap) {
        size_t cap = buf->cap ? buf->cap : 256;
        while (cap < need)
            cap *= 2;
        buf->data = mem_resize(buf->data, cap);
        buf->cap = cap;
    }
    return buf->data + buf->len;
}

void buf_add(struct buf *buf, const void *data, size_t len)
{
    char *room = buf_reserve(buf, len);
    if (!room)
        return;
    if (len)
        memcpy(room, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_add_str(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    char small[512];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (len < 0) {
        buf->full = true;
    } else if ((size_t)len < sizeof small) {
        buf_add(buf, small, (size_t)len);
    } else {
        char *room = buf_reserve(buf, (size_t)len);
        if (!room)
            return;
        va_start(ap, fmt);
        vsnprintf(room, (size_t)len + 1, fmt, ap);
        va_end(ap);
        buf->len += (size_t)len;
    }
}

void buf_consume(struct buf *buf, size_t len)
{
    if (len > buf->len)
        len = buf->len;
    buf->len -= len;
    if (buf->data) {
        memmove(buf->data, buf->data + len, buf->len);
        buf->data[buf->len] = '\0';
    }
}

const char *buf_text(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

char *buf_steal(struct buf *buf)
{
    char *text = buf->data ? buf->data : mem_strdup("");
    buf_init(buf, buf->max);
    return text;
}

enum err buf_check(const struct buf *buf)
{
    return buf->full ? ERR_TOO_LARGE : ERR_OK;
}
