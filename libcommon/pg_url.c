#include <string.h>
#include <strings.h>

#include "libcommon/mem.h"
#include "libcommon/pg.h"

/* Parameters of the drivers of Python and Node that libpq refuses to know. */
static const char *const foreign[] = {"prepared_statement_cache_size",
                                      "statement_cache_size",
                                      "prepared_statement_name_func",
                                      "command_timeout",
                                      "async_fallback",
                                      "pgbouncer",
                                      "connection_limit",
                                      "pool_timeout",
                                      "schema"};

static bool has_name(const char *param, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    return len > name_len && param[name_len] == '=' && !strncmp(param, name, name_len);
}

static bool is_foreign(const char *param, size_t len)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (has_name(param, len, foreign[i]))
            return true;
    return false;
}

static bool says(const char *value, size_t len, const char *word)
{
    return strlen(word) == len && !strncasecmp(value, word, len);
}

static void add_sslmode(struct buf *out, const char *value, size_t len)
{
    buf_add_str(out, "sslmode=");
    if (says(value, len, "true") || says(value, len, "1") || says(value, len, "on"))
        buf_add_str(out, "require");
    else if (says(value, len, "false") || says(value, len, "0") || says(value, len, "off"))
        buf_add_str(out, "disable");
    else
        buf_add(out, value, len);
}

struct params {
    struct buf *out;
    char separator;
    struct buf hosts, ports; /* of SQLAlchemy's host=a:1&host=b:2, which libpq wants in two lists */
    bool any_port;
};

static void next_param(struct params *params)
{
    buf_add_char(params->out, params->separator);
    params->separator = '&';
}

/* Not the colons of a bare IPv6 address. */
static size_t port_at(const char *host, size_t len)
{
    const char *colon = memchr(host, ':', len);
    bool another = colon && memchr(colon + 1, ':', len - (size_t)(colon + 1 - host));
    return colon && !another ? (size_t)(colon - host) : len;
}

static void add_hosts(struct params *params, const char *value, size_t len)
{
    for (size_t at = 0; at <= len;) {
        const char *comma = memchr(value + at, ',', len - at);
        size_t part = comma ? (size_t)(comma - value) - at : len - at;
        size_t port = port_at(value + at, part);
        if (params->hosts.len) {
            buf_add_char(&params->hosts, ',');
            buf_add_char(&params->ports, ',');
        }
        buf_add(&params->hosts, value + at, port);
        if (port < part) {
            buf_add(&params->ports, value + at + port + 1, part - port - 1);
            params->any_port = true;
        }
        at += part + 1;
    }
}

static void add_param(struct params *params, const char *param, size_t len)
{
    if (has_name(param, len, "host")) {
        add_hosts(params, param + 5, len - 5);
        return;
    }
    next_param(params);
    if (has_name(param, len, "ssl"))
        add_sslmode(params->out, param + 4, len - 4);
    else
        buf_add(params->out, param, len);
}

static void end_params(struct params *params)
{
    if (params->hosts.len) {
        next_param(params);
        buf_add_str(params->out, "host=");
        buf_add(params->out, buf_text(&params->hosts), params->hosts.len);
    }
    if (params->any_port) {
        next_param(params);
        buf_add_str(params->out, "port=");
        buf_add(params->out, buf_text(&params->ports), params->ports.len);
    }
    buf_fini(&params->hosts);
    buf_fini(&params->ports);
}

static void add_params(struct buf *out, const char *text)
{
    struct params params = {.out = out, .separator = '?'};
    buf_init(&params.hosts, strlen(text) + 1);
    buf_init(&params.ports, strlen(text) + 1);
    while (*text) {
        size_t len = strcspn(text, "&");
        if (len && !is_foreign(text, len))
            add_param(&params, text, len);
        text += len;
        text += *text == '&';
    }
    end_params(&params);
}

/* "postgres" or "postgresql" with an optional "+driver". */
static bool known_scheme(const char *url, size_t len)
{
    size_t base = strcspn(url, "+:");
    return base <= len && (says(url, base, "postgres") || says(url, base, "postgresql"));
}

enum err pg_url_normalize(const char *url, char **ret_url)
{
    const char *rest = strstr(url, "://");
    if (!rest) {
        /* libpq's "host=… dbname=…" form. */
        if (!strchr(url, '='))
            return ERR_INVALID;
        *ret_url = mem_strdup(url);
        return ERR_OK;
    }
    if (!known_scheme(url, (size_t)(rest - url)))
        return ERR_INVALID;
    struct buf out;
    buf_init(&out, strlen(url) + 64);
    buf_add_str(&out, "postgresql");
    size_t before = strcspn(rest, "?");
    buf_add(&out, rest, before);
    if (rest[before] == '?')
        add_params(&out, rest + before + 1);
    *ret_url = buf_steal(&out);
    return ERR_OK;
}
