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

static void add_params(struct buf *out, const char *params)
{
    char separator = '?';
    while (*params) {
        size_t len = strcspn(params, "&");
        if (len && !is_foreign(params, len)) {
            buf_add_char(out, separator);
            separator = '&';
            if (has_name(params, len, "ssl"))
                add_sslmode(out, params + 4, len - 4);
            else
                buf_add(out, params, len);
        }
        params += len;
        params += *params == '&';
    }
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
