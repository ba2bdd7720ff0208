/* A growing buffer with a ceiling. Embedded by value: buf_init / buf_fini. Not thread-safe.
 * A write that would pass the ceiling changes nothing and marks the buffer `full` for good, so a
 * sequence of writes needs one check at its end. `data` is always followed by a NUL. */
#ifndef MCPBUS_BUF_H
#define MCPBUS_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "libcommon/err.h"

struct buf {
    char *data; /* NULL until the first write */
    size_t len, cap, max;
    bool full;
};

void buf_init(struct buf *buf, size_t max);
void buf_fini(struct buf *buf);  /* frees; the buffer is as after buf_init */
void buf_reset(struct buf *buf); /* empties, keeps the memory, clears `full` */

void buf_add(struct buf *buf, const void *data, size_t len);
void buf_add_str(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *buf, const char *fmt, ...);

/* Drops the first `len` bytes. */
void buf_consume(struct buf *buf, size_t len);

/* Room for `len` more bytes at data + len; the caller then adds to `len`. NULL when over the
 * ceiling. */
MUST_CHECK char *buf_reserve(struct buf *buf, size_t len);

/* The text, "" when nothing was written; borrowed until the next write. */
const char *buf_text(const struct buf *buf);

/* Gives the memory to the caller (free() it); the buffer is empty. Never NULL. */
char *buf_steal(struct buf *buf);

/* ERR_TOO_LARGE when any write since the last reset did not fit. */
MUST_CHECK enum err buf_check(const struct buf *buf);

#endif
