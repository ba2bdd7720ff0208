#include "libcommon/log.h"

#include <stdbool.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/js_internal.h"

enum { LINE_MAX_BYTES = 65536, VALUE_MAX_BYTES = 2048 };

static struct {
    const char *service;
    enum log_level level;
    enum log_format format;
} config = {"mcpbus", LOG_LEVEL_INFO, LOG_FORMAT_TEXT};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void log_setup(const char *service, enum log_level level, enum log_format format)
{
    config.service = service;
    config.level = level;
    config.format = format;
}

/* A code point that would let a text pass for something else: C1 controls, line separators, and
 * what turns the direction (bidi). `c` is a valid sequence of UTF-8. */
static bool is_deceptive(const unsigned char *c, size_t len, unsigned *ret_code)
{
    unsigned code =
        len == 2   ? (unsigned)(c[0] & 0x1f) << 6 | (c[1] & 0x3f)
        : len == 3 ? (unsigned)(c[0] & 0x0f) << 12 | (unsigned)(c[1] & 0x3f) << 6 | (c[2] & 0x3f)
                   : 0;
    *ret_code = code;
    return (code >= 0x80 && code < 0xa0) || code == 0x061c || (code >= 0x200e && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
           code == 0xfeff;
}

/* Appends what is at `text` (not its end); how many bytes were taken. */
static size_t add_char(struct buf *line, const unsigned char *text, size_t left)
{
    unsigned code;
    if (*text == '"' || *text == '\\') {
        buf_printf(line, "\\%c", *text);
        return 1;
    }
    if (*text < 0x20 || *text == 0x7f) {
        buf_printf(line, "\\u%04x", *text);
        return 1;
    }
    size_t len = js_utf8_sequence(text, left);
    if (!len) {
        buf_add_str(line, "\xef\xbf\xbd");
        return 1;
    }
    if (is_deceptive(text, len, &code))
        buf_printf(line, "\\u%04x", code);
    else
        buf_add(line, text, len);
    return len;
}

/* Quoted and escaped as a JSON string. */
static void add_quoted(struct buf *line, const char *text)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t len = strnlen(text, VALUE_MAX_BYTES + 4), begin = line->len, at = 0;
    buf_add_char(line, '"');
    while (at < len && at < VALUE_MAX_BYTES && line->len - begin < VALUE_MAX_BYTES)
        at += add_char(line, bytes + at, len - at);
    buf_add_str(line, at < len ? "…\"" : "\"");
}

static bool is_plain(const char *text)
{
    if (!*text || strlen(text) > VALUE_MAX_BYTES)
        return false;
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == '"' || *text == '=' ||
            (unsigned char)*text >= 0x7f || *text == '\\')
            return false;
    return true;
}

static void add_time(struct buf *line)
{
    struct timeval now;
    struct tm tm;
    char text[32];
    gettimeofday(&now, NULL);
    gmtime_r(&now.tv_sec, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(line, "%s.%06ldZ", text, (long)now.tv_usec);
}

static void format_json(struct buf *line, enum log_level level, const char *event,
                        const struct log_field *fields)
{
    buf_add_str(line, "{\"time\":\"");
    add_time(line);
    buf_printf(line, "\",\"level\":\"%s\",\"service\":\"%s\",\"event\":\"%s\"", level_names[level],
               config.service, event);
    for (const struct log_field *f = fields; f->key; f++) {
        buf_printf(line, ",\"%s\":", f->key);
        if (f->kind == LOG_FIELD_INT)
            buf_printf(line, "%lld", (long long)f->integer);
        else
            add_quoted(line, f->string ? f->string : "");
    }
    buf_add_str(line, "}\n");
}

static void format_text(struct buf *line, enum log_level level, const char *event,
                        const struct log_field *fields)
{
    add_time(line);
    buf_printf(line, " %-7s %s %s", level_names[level], config.service, event);
    for (const struct log_field *f = fields; f->key; f++) {
        buf_printf(line, " %s=", f->key);
        if (f->kind == LOG_FIELD_INT)
            buf_printf(line, "%lld", (long long)f->integer);
        else if (f->string && is_plain(f->string))
            buf_add_str(line, f->string);
        else
            add_quoted(line, f->string ? f->string : "");
    }
    buf_add_char(line, '\n');
}

bool log_enabled(enum log_level level)
{
    return level >= config.level;
}

static void format(struct buf *line, enum log_level level, const char *event,
                   const struct log_field *fields)
{
    if (config.format == LOG_FORMAT_JSON)
        format_json(line, level, event, fields);
    else
        format_text(line, level, event, fields);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    static const struct log_field none[] = {{.key = NULL}};
    if (!log_enabled(level))
        return;
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    format(&line, level, event, fields);
    if (line.full) { /* half a line would be none */
        buf_reset(&line);
        format(&line, level, event, none);
    }
    (void)!write(STDERR_FILENO, buf_text(&line), line.len);
    buf_fini(&line);
}
