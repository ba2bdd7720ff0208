/* Statuses and their words; checks of what the program hands in. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcpbus/client.h"

static const struct {
    enum mcpbus_status status;
    const char *name, *text;
} own[] = {
    {MCPBUS_OK, "OK", "ok"},
    {MCPBUS_ERR_MISUSE, "MISUSE", "may not be called here"},
    {MCPBUS_ERR_CLOSED, "CLOSED", "closed"},
    {MCPBUS_ERR_AGAIN, "AGAIN", "nothing yet"},
    {MCPBUS_ERR_SYSTEM, "SYSTEM", "the system refuses"},
};

static bool find_err(enum mcpbus_status status, enum err *ret_err)
{
    return (int)status >= 100 && (int)status <= UINT16_MAX &&
           err_from_wire((uint16_t)status, ret_err);
}

const char *mcpbus_status_name(enum mcpbus_status status)
{
    enum err err;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i].status == status)
            return own[i].name;
    return find_err(status, &err) ? err_name(err) : "UNKNOWN";
}

const char *mcpbus_status_text(enum mcpbus_status status)
{
    enum err err;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i].status == status)
            return own[i].text;
    return find_err(status, &err) ? err_text(err) : "unknown status";
}

enum mcpbus_group mcpbus_status_group(enum mcpbus_status status)
{
    enum err err;
    if (status == MCPBUS_OK)
        return MCPBUS_GROUP_OK;
    if ((int)status < 100)
        return MCPBUS_GROUP_NOT_EXECUTED;
    return find_err(status, &err) ? (enum mcpbus_group)err_group(err) : MCPBUS_GROUP_UNKNOWN;
}

const char *mcpbus_version(void)
{
    return MCPBUS_VERSION;
}

void mcpbus_free(void *memory)
{
    free(memory);
}

/* What was not executed for a reason that may pass. */
static bool may_pass(enum mcpbus_status status)
{
    switch (status) {
    case MCPBUS_ERR_AGAIN:
    case MCPBUS_ERR_NO_SERVICE:
    case MCPBUS_ERR_OVERLOADED:
    case MCPBUS_ERR_EXPIRED:
    case MCPBUS_ERR_DRAINING:
    case MCPBUS_ERR_LIMITED:
        return true;
    default:
        return false;
    }
}

static void fill(struct mcpbus_error *error, enum mcpbus_status status)
{
    memset(error, 0, sizeof *error);
    error->status = status;
    error->group = mcpbus_status_group(status);
    error->retry = may_pass(status);
}

/* Takes away the beginning of a character that did not fit. */
static void end_whole(char *text)
{
    size_t len = strlen(text), at = len;
    while (at && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
        at--;
    unsigned char first = at ? (unsigned char)text[at - 1] : 0;
    size_t wanted = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    if (at && len - (at - 1) < wanted)
        text[at - 1] = '\0';
}

enum mcpbus_status fail(struct mcpbus_error *error, enum mcpbus_status status, const char *detail,
                        ...)
{
    if (!error)
        return status;
    fill(error, status);
    va_list ap;
    va_start(ap, detail);
    int wanted = vsnprintf(error->detail, sizeof error->detail, detail, ap);
    va_end(ap);
    if (wanted >= (int)sizeof error->detail)
        end_whole(error->detail);
    return status;
}

enum mcpbus_status fail_plainly(struct mcpbus_error *error, enum mcpbus_status status)
{
    return fail(error, status, "%s", mcpbus_status_text(status));
}

enum mcpbus_status succeed(struct mcpbus_error *error)
{
    if (error)
        fill(error, MCPBUS_OK);
    return MCPBUS_OK;
}

enum mcpbus_status status_of(enum err err)
{
    return (enum mcpbus_status)err_wire(err);
}

enum err err_of(enum mcpbus_status status)
{
    enum err err = ERR_INTERNAL;
    return find_err(status, &err) ? err : ERR_INTERNAL;
}

enum mcpbus_status check_json(const char **json_p, size_t *len_p, struct mcpbus_error *error)
{
    if (!*json_p) {
        *json_p = "{}";
        *len_p = 2;
        return MCPBUS_OK;
    }
    size_t len = *len_p == MCPBUS_TEXT ? strnlen(*json_p, MCPBUS_BODY_MAX + 1) : *len_p;
    if (len > MCPBUS_BODY_MAX)
        return fail(error, MCPBUS_ERR_TOO_LARGE, "a body has at most %zu bytes", MCPBUS_BODY_MAX);
    AUTOJSON json_t *value = NULL;
    char why[JS_WHY_SIZE];
    if (js_parse(*json_p, len, &value, why) != ERR_OK)
        return fail(error, MCPBUS_ERR_INVALID, "the body is not JSON: %s", why);
    if (!json_is_object(value))
        return fail(error, MCPBUS_ERR_INVALID, "the body is not a JSON object");
    *len_p = len;
    return MCPBUS_OK;
}

char *copy_text(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);
    memcpy(copy, text, len);
    return copy;
}
