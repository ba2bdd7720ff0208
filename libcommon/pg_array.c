/* The text form of one-dimensional arrays (PostgreSQL manual, 8.15.6). */
#include <inttypes.h>

#include "libcommon/pg.h"

void pg_array_begin(struct buf *buf)
{
    buf_add_char(buf, '{');
}

static void separate(struct buf *buf)
{
    /* A quoted element never ends in a brace, so this one is the array's own. */
    if (buf->len && buf->data[buf->len - 1] != '{')
        buf_add_char(buf, ',');
}

void pg_array_add(struct buf *buf, const char *text, size_t len)
{
    separate(buf);
    buf_add_char(buf, '"');
    for (size_t i = 0, from = 0; i <= len; i++) {
        if (i < len && text[i] != '"' && text[i] != '\\')
            continue;
        buf_add(buf, text + from, i - from);
        if (i < len)
            buf_add_char(buf, '\\');
        from = i;
    }
    buf_add_char(buf, '"');
}

void pg_array_add_null(struct buf *buf)
{
    separate(buf);
    buf_add_str(buf, "NULL");
}

void pg_array_add_int(struct buf *buf, int64_t value)
{
    separate(buf);
    buf_printf(buf, "%" PRId64, value);
}

void pg_array_end(struct buf *buf)
{
    buf_add_char(buf, '}');
}
