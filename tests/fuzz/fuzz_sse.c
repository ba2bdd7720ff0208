/* What a server may stream: the same events whether the bytes come at once or one by one. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/sse.h"

enum { EVENT_MAX = 128 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_event(void *arg, const struct sse_event *event)
{
    struct buf *seen = arg;
    if (event->len > EVENT_MAX || event->data[event->len] || strpbrk(event->id, "\r\n"))
        abort();
    buf_add_str(seen, event->event);
    buf_add(seen, event->data, event->len + 1);
    buf_add_str(seen, event->id);
    buf_add_char(seen, '\n');
    return true;
}

static enum err parse(const char *data, size_t size, size_t piece, struct buf *seen)
{
    enum err err = ERR_OK;
    struct sse *sse = sse_new(EVENT_MAX, on_event, seen);
    for (size_t at = 0; at < size && !err; at += piece)
        err = sse_feed(sse, data + at, size - at < piece ? size - at : piece);
    buf_add_str(seen, sse_last_id(sse));
    buf_printf(seen, "%lld", (long long)sse_retry_ms(sse));
    sse_destroy(&sse);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, pieces;
    buf_init(&whole, 1 << 20);
    buf_init(&pieces, 1 << 20);
    if (size && (parse((const char *)data, size, size, &whole) !=
                     parse((const char *)data, size, 1, &pieces) ||
                 strcmp(buf_text(&whole), buf_text(&pieces)) != 0 || whole.len != pieces.len))
        abort();
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
