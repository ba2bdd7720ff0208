#include "services/worker/agent_message.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { NAME_MAX_BYTES = 64, TEXT_MAX = 4 << 20 };

static json_t *text_of(const char *text)
{
    return js_string_capped(text, strlen(text), TEXT_MAX, "\n[cut]");
}

json_t *agent_message(const char *role, const char *text)
{
    return json_pack("{s:s, s:o}", "role", role, "content", text_of(text));
}

json_t *agent_message_result(const char *id, const char *text)
{
    return json_pack("{s:s, s:s, s:o}", "role", "tool", "tool_call_id", id, "content",
                     text_of(text));
}

json_t *agent_message_calls(const char *text, json_t *calls)
{
    return json_pack("{s:s, s:o, s:o}", "role", "assistant", "content",
                     *text ? text_of(text) : json_null(), "tool_calls", calls);
}

static void make_legal(const char *name, char legal[NAME_MAX_BYTES + 1])
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    snprintf(legal, NAME_MAX_BYTES + 1, "%s", *name ? name : "unnamed");
    for (char *c = legal + strspn(legal, allowed); *c; c += strspn(c, allowed))
        *c = '_';
}

json_t *agent_message_call(const char *id, const char *name, const json_t *arguments)
{
    char legal[NAME_MAX_BYTES + 1];
    AUTOJSON json_t *object = json_is_object(arguments)
                                  ? json_incref((json_t *)arguments)
                                  : json_pack("{s:O*}", "malformed", arguments);
    AUTOFREE char *text = js_dump(object);
    make_legal(name, legal);
    return json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", id, "type", "function", "function", "name",
                     legal, "arguments", text);
}
