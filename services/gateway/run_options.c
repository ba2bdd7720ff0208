/* What POST /run takes beside the message. */
#include "services/gateway/run_options.h"

#include "libcommon/mem.h"
#include "services/gateway/gateway.h"

enum {
    NAME_MAX_CHARACTERS = 128,
    ZONE_MAX_CHARACTERS = 64,
    TOOLS_MAX = 128,
    TOOL_MAX_CHARACTERS = 200,
    TURNS_MAX = 1000,
};
static const int64_t tokens_max = INT64_C(1000000000000);

static void set(struct run_options *options, const char *name, json_t *value)
{
    if (!options->more)
        options->more = json_object();
    json_object_set_new(options->more, name, value);
}

static bool read_text(struct call *call, const json_t *body, const char *name, size_t max,
                      struct run_options *options)
{
    const char *text;
    if (!validate_text(call, body, name, max, true, &text))
        return false;
    if (text)
        set(options, name, json_string(text));
    return true;
}

static bool read_int(struct call *call, const json_t *body, const char *name, int64_t max,
                     struct run_options *options)
{
    int64_t value;
    if (!validate_int(call, body, name, 1, max, &value))
        return false;
    if (value)
        set(options, name, json_integer(value));
    return true;
}

static bool read_all(struct call *call, const json_t *body, struct run_options *options)
{
    json_t *tools;
    double cost;
    if (!validate_text(call, body, "conversation_id", CONVERSATION_MAX, true,
                       &options->conversation_id) ||
        !callback_url_read(call, body, &options->callback_url) ||
        !read_text(call, body, "model", NAME_MAX_CHARACTERS, options) ||
        !validate_texts(call, body, "tools", 0, TOOLS_MAX, TOOL_MAX_CHARACTERS, &tools))
        return false;
    if (tools)
        set(options, "tools", json_incref(tools));
    if (!read_int(call, body, "max_turns", TURNS_MAX, options) ||
        !read_int(call, body, "max_tokens", tokens_max, options) ||
        !validate_above_0(call, body, "max_cost", &cost) ||
        !read_text(call, body, "time_zone", ZONE_MAX_CHARACTERS, options))
        return false;
    if (cost > 0)
        set(options, "max_cost", json_real(cost));
    return true;
}

bool run_options_read(struct call *call, const json_t *body, struct run_options *ret_options)
{
    struct run_options options = {0};
    if (body && !read_all(call, body, &options)) {
        json_decref(options.more);
        return false;
    }
    *ret_options = options;
    return true;
}

bool run_options_any(const struct run_options *options)
{
    return options->more || options->conversation_id || options->callback_url;
}

char *run_options_identity(const struct run_options *options, const char *message)
{
    AUTOJSON json_t *all = json_pack("{s:s, s:O?, s:s?, s:s*}", "message", message, "options",
                                     options->more, "conversation_id", options->conversation_id,
                                     "callback_url", options->callback_url);
    return json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
}
