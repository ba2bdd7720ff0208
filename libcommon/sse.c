#include "libcommon/sse.h"

#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/mem.h"

enum { NAME_MAX = 256, ID_MAX = 4096 };
static const int64_t RETRY_MAX_MS = 24LL * 3600 * 1000;

struct sse {
    sse_event_fn *fn;
    void *arg;
    struct buf line, data;
    char event[NAME_MAX + 1];
    char id[ID_MAX + 1];      /* of the event that is being read */
    char last_id[ID_MAX + 1]; /* as of the last complete one */
    int64_t retry_ms;
    bool begun;     /* a byte order mark can't come any more */
    bool after_cr;  /* an LF now belongs to the CR before it */
    enum err error; /* for good */
};

struct sse *sse_new(size_t event_max, sse_event_fn *fn, void *arg)
{
    struct sse *sse = mem_alloc(sizeof *sse);
    buf_init(&sse->line, event_max);
    buf_init(&sse->data, event_max);
    sse->fn = fn;
    sse->arg = arg;
    sse->retry_ms = -1;
    return sse;
}

void sse_destroy(struct sse **sse_p)
{
    struct sse *sse = *sse_p;
    if (!sse)
        return;
    *sse_p = NULL;
    buf_fini(&sse->line);
    buf_fini(&sse->data);
    free(sse);
}

const char *sse_last_id(const struct sse *sse)
{
    return sse->last_id;
}

int64_t sse_retry_ms(const struct sse *sse)
{
    return sse->retry_ms;
}

static void set_text(char *text, size_t max, const char *value, size_t len)
{
    if (len > max)
        len = 0;
    if (len)
        memcpy(text, value, len);
    text[len] = '\0';
}

static void set_retry(struct sse *sse, const char *value, size_t len)
{
    int64_t ms = 0;
    for (size_t i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9')
            return;
        ms = ms * 10 + (value[i] - '0');
        if (ms > RETRY_MAX_MS)
            ms = RETRY_MAX_MS;
    }
    if (len)
        sse->retry_ms = ms;
}

static bool is_field(const char *name, size_t len, const char *wanted)
{
    return strlen(wanted) == len && memcmp(name, wanted, len) == 0;
}

static void take_field(struct sse *sse, const char *name, size_t name_len, const char *value,
                       size_t len)
{
    if (is_field(name, name_len, "data")) {
        buf_add(&sse->data, value, len);
        buf_add_char(&sse->data, '\n');
    } else if (is_field(name, name_len, "event")) {
        set_text(sse->event, NAME_MAX, value, len);
    } else if (is_field(name, name_len, "id") && !memchr(value, '\0', len)) {
        set_text(sse->id, ID_MAX, value, len);
    } else if (is_field(name, name_len, "retry")) {
        set_retry(sse, value, len);
    }
}

static void end_event(struct sse *sse)
{
    memcpy(sse->last_id, sse->id, strlen(sse->id) + 1);
    if (sse->data.len) {
        sse->data.data[--sse->data.len] = '\0';
        struct sse_event event = {
            .event = *sse->event ? sse->event : "message",
            .data = buf_text(&sse->data),
            .len = sse->data.len,
            .id = sse->last_id,
        };
        if (!sse->fn(sse->arg, &event))
            sse->error = ERR_CANCELLED;
    }
    buf_reset(&sse->data);
    sse->event[0] = '\0';
}

static void take_line(struct sse *sse, const char *line, size_t len)
{
    if (!len) {
        end_event(sse);
        return;
    }
    const char *colon = memchr(line, ':', len);
    if (!colon) {
        take_field(sse, line, len, "", 0);
        return;
    }
    size_t name_len = (size_t)(colon - line), value_len = len - name_len - 1;
    const char *value = colon + 1;
    if (value_len && *value == ' ')
        value++, value_len--;
    take_field(sse, line, name_len, value, value_len);
}

static void end_line(struct sse *sse)
{
    static const char bom[] = "\xef\xbb\xbf";
    const char *line = buf_text(&sse->line);
    size_t len = sse->line.len;
    if (!sse->begun && len >= 3 && memcmp(line, bom, 3) == 0)
        line += 3, len -= 3;
    sse->begun = true;
    take_line(sse, line, len);
    buf_reset(&sse->line);
}

static size_t line_part(const char *data, size_t len)
{
    size_t n = 0;
    while (n < len && data[n] != '\n' && data[n] != '\r')
        n++;
    return n;
}

enum err sse_feed(struct sse *sse, const char *data, size_t len)
{
    while (len && !sse->error) {
        if (sse->after_cr && *data == '\n')
            data++, len--;
        sse->after_cr = false;
        size_t part = line_part(data, len);
        buf_add(&sse->line, data, part);
        if (part < len) {
            sse->after_cr = data[part] == '\r';
            if (!buf_check(&sse->line))
                end_line(sse);
            part++;
        }
        if (!sse->error && (buf_check(&sse->line) || buf_check(&sse->data)))
            sse->error = ERR_TOO_LARGE;
        data += part, len -= part;
    }
    return sse->error;
}
