#include "libmcp/mcp_oauth_challenge.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/buf.h"
#include "libcommon/mem.h"

enum { SCOPE_MAX = 4096 };

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_len(const char *at)
{
    size_t len = 0;
    while (is_token_char(at[len]))
        len++;
    return len;
}

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t");
}

/* A quoted string or token at `at`; NULL: neither. */
static const char *read_value(const char *at, char **ret_value)
{
    if (*at != '"') {
        size_t len = token_len(at);
        if (!len)
            return NULL;
        *ret_value = mem_strndup(at, len);
        return at + len;
    }
    char *value = mem_alloc(strlen(at)), *out = value;
    for (at++; *at && *at != '"'; at++) {
        if (*at == '\\' && at[1])
            at++;
        *out++ = *at;
    }
    if (!*at) {
        free(value);
        return NULL;
    }
    *ret_value = value;
    return at + 1;
}

static void keep(struct mcp_challenge *challenge, const char *name, size_t len, char *value)
{
    const struct {
        const char *name;
        char **place;
    } known[] = {{"resource_metadata", &challenge->resource_metadata},
                 {"scope", &challenge->scope},
                 {"error", &challenge->error}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strlen(known[i].name) == len && strncasecmp(known[i].name, name, len) == 0 &&
            !*known[i].place) {
            *known[i].place = value;
            return;
        }
    }
    free(value);
}

/* The parameter that begins at `at`, if one does: name, "=", value. Else `at`, untouched. */
static const char *read_parameter(const char *at, struct mcp_challenge *challenge)
{
    size_t len = token_len(at);
    const char *equals = skip_space(at + len);
    char *value = NULL;
    if (!len || *equals != '=')
        return at;
    const char *end = read_value(skip_space(equals + 1), &value);
    if (!end)
        return at;
    if (challenge)
        keep(challenge, at, len, value);
    else
        free(value);
    return end;
}

/* The parameters of one challenge, and the commas around them, up to the next scheme or the end. */
static const char *read_parameters(const char *at, struct mcp_challenge *challenge)
{
    for (;;) {
        at += strspn(at, " \t,");
        const char *end = read_parameter(at, challenge);
        if (end == at)
            return at;
        at = end;
    }
}

/* token68, as "Basic YWJj==" has it: it ends the challenge. */
static const char *skip_token68(const char *at)
{
    const char *end = at;
    while (is_token_char(*end) || *end == '/')
        end++;
    end += strspn(end, "=");
    const char *after = skip_space(end);
    return end > at && (*after == ',' || !*after) ? after : at;
}

static bool is_scheme(const char *at, size_t len, const char *scheme)
{
    return strlen(scheme) == len && strncasecmp(at, scheme, len) == 0;
}

enum err mcp_challenge_parse(const char *field, struct mcp_challenge *ret_challenge)
{
    if (strlen(field) > MCP_CHALLENGE_MAX)
        return ERR_TOO_LARGE;
    const char *at = field + strspn(field, " \t,");
    while (*at) {
        struct mcp_challenge challenge = {0};
        size_t len = token_len(at);
        const char *after = at + len;
        if (!len || (*after && *after != ' ' && *after != ','))
            return ERR_NOT_FOUND;
        challenge.dpop = is_scheme(at, len, "DPoP");
        bool ours = challenge.dpop || is_scheme(at, len, "Bearer");
        at = read_parameters(skip_token68(skip_space(after)), ours ? &challenge : NULL);
        if (!ours)
            continue;
        if (challenge.scope && !mcp_scope_is_valid(challenge.scope)) {
            free(challenge.scope);
            challenge.scope = NULL;
        }
        *ret_challenge = challenge;
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

void mcp_challenge_fini(struct mcp_challenge *challenge)
{
    free(challenge->resource_metadata);
    free(challenge->scope);
    free(challenge->error);
    *challenge = (struct mcp_challenge){0};
}

bool mcp_scope_is_valid(const char *scope)
{
    size_t len = strlen(scope);
    if (!len || len > SCOPE_MAX || scope[0] == ' ' || scope[len - 1] == ' ' || strstr(scope, "  "))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)scope[i] < 0x20 || (unsigned char)scope[i] > 0x7e || scope[i] == '"' ||
            scope[i] == '\\')
            return false;
    return true;
}

static bool has_scope(const char *whole, const char *one, size_t len)
{
    while (whole && *whole) {
        size_t next = strcspn(whole, " ");
        if (next == len && memcmp(whole, one, len) == 0)
            return true;
        whole += next;
        whole += strspn(whole, " ");
    }
    return false;
}

char *mcp_scope_union(const char *a, const char *b)
{
    struct buf all;
    buf_init(&all, 2 * SCOPE_MAX + 2);
    const char *const parts[] = {a, b};
    for (int i = 0; i < 2; i++) {
        for (const char *at = parts[i]; at && *at;) {
            size_t len = strcspn(at, " ");
            if (len && !has_scope(buf_text(&all), at, len)) {
                if (all.len)
                    buf_add_char(&all, ' ');
                buf_add(&all, at, len);
            }
            at += len;
            at += strspn(at, " ");
        }
    }
    if (!all.len || buf_check(&all) != ERR_OK) {
        buf_fini(&all);
        return a && *a ? mem_strdup(a) : NULL;
    }
    return buf_steal(&all);
}

bool mcp_scope_covers(const char *whole, const char *part)
{
    while (part && *part) {
        size_t len = strcspn(part, " ");
        if (len && !has_scope(whole, part, len))
            return false;
        part += len;
        part += strspn(part, " ");
    }
    return true;
}
