#include "libcommon/log.h"

#include <stdbool.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/buf.h"

enum { LINE_MAX_BYTES = 16384, VALUE_MAX_BYTES = 2048 };

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

/* Quoted and escaped as a JSON string; bytes that are not printable ASCII or UTF-8 become \u00XX.
 */
static void add_quoted(struct buf *line, const char *text)
{
    size_t len = strnlen(text, VALUE_MAX_BYTES + 1);
    bool cut = len > VALUE_MAX_BYTES;
    buf_add_char(line, '"');
    for (size_t i = 0; i < (cut ? (size_t)VALUE_MAX_BYTES : len); i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            buf_printf(line, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_printf(line, "\\u%04x", c);
        else
            buf_add_char(line, (char)c);
    }
    buf_add_str(line, cut ? "…\"" : "\"");
}

static bool is_plain(const char *text)
{
    if (!*text || strlen(text) > VALUE_MAX_BYTES)
        return false;
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == '"' || *text == '=' || *text == 0x7f ||
            *text == '\\')
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

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    if (level < config.level)
        return;
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    if (config.format == LOG_FORMAT_JSON)
        format_json(&line, level, event, fields);
    else
        format_text(&line, level, event, fields);
    (void)!write(STDERR_FILENO, buf_text(&line), line.len);
    buf_fini(&line);
}
