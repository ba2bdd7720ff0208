#include "libmcp/mcp_message.h"

#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { SECRET_MIN = 6 };

static bool is_id(const json_t *id)
{
    return json_is_string(id) || json_is_integer(id);
}

static enum err classify(json_t *json, struct mcp_message *message)
{
    json_t *method = json_object_get(json, "method");
    json_t *id = json_object_get(json, "id");
    if (method) {
        if (!json_is_string(method) || (id && !is_id(id)))
            return ERR_INVALID;
        message->kind = id ? MCP_REQUEST : MCP_NOTIFICATION;
        message->request_id = id;
        message->method = json_string_value(method);
        message->body = json_object_get(json, "params");
        return ERR_OK;
    }
    json_t *result = json_object_get(json, "result"), *error = json_object_get(json, "error");
    if (!json_is_integer(id) || !json_is_object(result ? result : error))
        return ERR_INVALID;
    message->kind = result ? MCP_RESULT : MCP_ERROR;
    message->id = json_integer_value(id);
    message->body = result ? result : error;
    return ERR_OK;
}

static bool hex4(const char *text, unsigned *ret_code)
{
    unsigned code = 0;
    for (int i = 0; i < 4; i++) {
        char c = text[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        if (digit == 16)
            return false;
        code = code << 4 | digit;
    }
    *ret_code = code;
    return true;
}

/* Is there a \u escape of a code in [from, to] at `at`? */
static bool escape_in(const char *at, const char *end, unsigned from, unsigned to)
{
    unsigned code;
    return end - at >= 6 && at[0] == '\\' && at[1] == 'u' && hex4(at + 2, &code) && code >= from &&
           code <= to;
}

/* In place: every replacement is as long as what it stands for. */
static void mend(char *text, size_t len)
{
    const char *end = text + len;
    for (char *at = text; (at = memchr(at, '\\', (size_t)(end - at)));) {
        if (escape_in(at, end, 0xd800, 0xdbff) && escape_in(at + 6, end, 0xdc00, 0xdfff)) {
            at += 12;
        } else if (escape_in(at, end, 0xd800, 0xdfff) || escape_in(at, end, 0, 0)) {
            memcpy(at, "\\ufffd", 6);
            at += 6;
        } else {
            at += end - at < 2 ? 1 : 2;
        }
    }
}

enum err mcp_json_parse(const char *text, size_t len, json_t **ret_json)
{
    if (len > MCP_LINE_MAX || js_has_more_values(text, len, MCP_VALUES_MAX))
        return ERR_INVALID;
    if (!js_parse(text, len, ret_json, NULL))
        return ERR_OK;
    if (!memmem(text, len, "\\u", 2))
        return ERR_INVALID;
    AUTOFREE char *copy = mem_alloc(len + 1);
    memcpy(copy, text, len);
    mend(copy, len);
    return js_parse(copy, len, ret_json, NULL);
}

enum err mcp_message_of(json_t *json, struct mcp_message *ret_message)
{
    struct mcp_message message = {.json = json};
    if (!json_is_object(json) || classify(json, &message))
        return ERR_INVALID;
    *ret_message = message;
    return ERR_OK;
}

enum err mcp_message_parse(const char *line, size_t len, struct mcp_message *ret_message)
{
    json_t *json;
    if (mcp_json_parse(line, len, &json))
        return ERR_INVALID;
    enum err err = mcp_message_of(json, ret_message);
    if (err)
        json_decref(json);
    return err;
}

void mcp_hide(char *text, const char *secret)
{
    size_t len = strlen(secret);
    for (char *at = text; len >= SECRET_MIN && (at = strstr(at, secret)); at += len)
        memset(at, '*', len);
}
