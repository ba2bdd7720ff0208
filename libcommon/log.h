/* Structured logs: one line an event, to standard error, written with one write(2). An event has a
 * stable id ("job_claimed") and typed fields; text or JSON form by LOG_FORMAT. Secrets are never
 * fields. Control characters (and those that turn the direction of a text) are escaped, what is not
 * UTF-8 becomes U+FFFD and long values are cut: no input can forge a line, and a line in JSON form
 * is always JSON. Fields about a request or a job are called request_id, job_id and trace_id
 * everywhere. Any thread after log_setup.
 *
 *     log_info("listening", LOG_S("address", address), LOG_I("port", port));
 */
#ifndef MCPBUS_LOG_H
#define MCPBUS_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_field {
    const char *key; /* NULL ends the list */
    enum { LOG_FIELD_STRING, LOG_FIELD_INT } kind;
    const char *string; /* NULL is written as an empty value */
    int64_t integer;
};

/* `service` is borrowed and must stay valid (a literal). */
void log_setup(const char *service, enum log_level level, enum log_format format);
/* Is such a line written at all? For fields that cost something. */
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#define LOG_S(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_STRING, .string = (v)})
#define LOG_I(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_INT, .integer = (int64_t)(v)})
#define LOG_AT(level, event, ...) \
    log_write(level, event, (struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}})

#define log_debug(event, ...) LOG_AT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) LOG_AT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_warning(event, ...) LOG_AT(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_LEVEL_ERROR, event, __VA_ARGS__)

#endif
