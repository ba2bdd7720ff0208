#include "services/worker/agent_config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { ZONE_NAME_MAX = 64, PRICES_MAX = 1000, PRICES_TEXT_MAX = 256 << 10, PATTERNS_MAX = 256 };

#define PRICE_MAX 1e6

static const char zoneinfo[] = "/usr/share/zoneinfo/";

static enum err refuse(char *ret_why, const char *name, const char *takes)
{
    snprintf(ret_why, AGENT_CONFIG_WHY_SIZE, "%s takes %s", name, takes);
    return ERR_INVALID;
}

bool agent_config_is_time_zone(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+/";
    char path[sizeof zoneinfo + ZONE_NAME_MAX + 1], head[4] = "";
    if (strcmp(name, "UTC") == 0)
        return true;
    if (!*name || strlen(name) > ZONE_NAME_MAX || name[strspn(name, allowed)] || *name == '/')
        return false;
    snprintf(path, sizeof path, "%s%s", zoneinfo, name);
    FILE *file = fopen(path, "re");
    bool found = file && fread(head, 1, sizeof head, file) == sizeof head &&
                 memcmp(head, "TZif", sizeof head) == 0;
    if (file)
        fclose(file);
    return found;
}

static bool is_price(const json_t *value)
{
    double price = json_number_value(value);
    return json_is_number(value) && price >= 0 && price <= PRICE_MAX;
}

static bool are_prices(const json_t *prices)
{
    const char *model;
    json_t *price;
    if (!json_is_object(prices) || json_object_size(prices) > PRICES_MAX)
        return false;
    json_object_foreach((json_t *)prices, model, price)
    {
        if (!*model || json_array_size(price) != 3)
            return false;
        for (size_t i = 0; i < 3; i++)
            if (!is_price(json_array_get(price, i)))
                return false;
    }
    return true;
}

static enum err load_prices(const struct settings *settings, json_t *config, char *ret_why)
{
    const char *text = settings->model_prices;
    json_t *prices = NULL;
    if (!text || !*text) {
        prices = json_object();
    } else if (strlen(text) > PRICES_TEXT_MAX || js_parse(text, strlen(text), &prices, NULL) ||
               !are_prices(prices)) {
        json_decref(prices);
        return refuse(
            ret_why, "MODEL_PRICES",
            "a JSON object {\"model\": [input, cached input, output]} with US dollars per "
            "million tokens");
    }
    json_object_set_new(config, "prices", prices);
    return ERR_OK;
}

static enum err load_cost(const struct settings *settings, json_t *config, char *ret_why)
{
    const char *text = settings->run_max_cost;
    char *end;
    if (!text || !*text)
        return ERR_OK;
    double cost = strtod(text, &end);
    if (*end || !isfinite(cost) || cost <= 0)
        return refuse(ret_why, "RUN_MAX_COST", "US dollars above 0, such as 0.5");
    json_object_set_new(config, "max_cost", json_real(cost));
    return ERR_OK;
}

static enum err read_prompt(const char *path, json_t *config, char *ret_why)
{
    struct buf text;
    enum err err = ERR_INVALID;
    buf_init(&text, AGENT_SYSTEM_PROMPT_MAX + 1);
    FILE *file = fopen(path, "re");
    char *at = buf_reserve(&text, AGENT_SYSTEM_PROMPT_MAX + 1);
    if (file && at) {
        text.len = fread(at, 1, AGENT_SYSTEM_PROMPT_MAX + 1, file);
        if (text.len && text.len <= AGENT_SYSTEM_PROMPT_MAX && js_is_utf8(text.data, text.len))
            err = ERR_OK;
    }
    if (!err)
        json_object_set_new(config, "system_prompt", json_stringn(text.data, text.len));
    else
        refuse(ret_why, "SYSTEM_PROMPT_FILE", "a file of at most 64 KiB of UTF-8 text");
    if (file)
        fclose(file);
    buf_fini(&text);
    return err;
}

static enum err load_prompt(const struct settings *settings, json_t *config, char *ret_why)
{
    const char *text = settings->system_prompt;
    if (settings->system_prompt_file && *settings->system_prompt_file)
        return read_prompt(settings->system_prompt_file, config, ret_why);
    if (!text || !*text)
        return ERR_OK;
    if (strlen(text) > AGENT_SYSTEM_PROMPT_MAX || !js_is_utf8(text, strlen(text)))
        return refuse(ret_why, "SYSTEM_PROMPT", "at most 64 KiB of UTF-8 text");
    json_object_set_new(config, "system_prompt", json_string(text));
    return ERR_OK;
}

static enum err load_patterns(const struct settings *settings, json_t *config, char *ret_why)
{
    static const char takes[] = "names of tools (SERVER__TOOL), with commas, a * only at the end";
    json_t *patterns = json_array();
    AUTOFREE char *text = mem_strdup(settings->approval_tools ? settings->approval_tools : "");
    json_object_set_new(config, "approval_tools", patterns);
    char *rest = text;
    for (char *name; (name = strsep(&rest, ","));) {
        name += strspn(name, " \t");
        name[strcspn(name, " \t")] = '\0';
        const char *star = strchr(name, '*');
        if ((star && star[1]) || json_array_size(patterns) == PATTERNS_MAX ||
            !js_is_utf8(name, strlen(name)))
            return refuse(ret_why, "APPROVAL_TOOLS", takes);
        if (*name)
            json_array_append_new(patterns, json_string(name));
    }
    return ERR_OK;
}

enum err agent_config_load(const struct settings *settings, json_t **ret_config,
                           char ret_why[AGENT_CONFIG_WHY_SIZE])
{
    AUTOJSON json_t *config = json_pack(
        "{s:s, s:I, s:I, s:I, s:s, s:s}", "model", settings->openai_model, "max_turns",
        (json_int_t)settings->max_turns, "max_tokens", (json_int_t)settings->run_max_tokens,
        "context_tokens", (json_int_t)settings->model_context, "time_zone", settings->time_zone,
        "approval", settings->approval);
    if (!config)
        return refuse(ret_why, "OPENAI_MODEL", "UTF-8 text");
    if (!agent_config_is_time_zone(settings->time_zone))
        return refuse(ret_why, "TIME_ZONE", "a name of the system's zoneinfo, as Europe/Berlin");
    enum err err = load_prices(settings, config, ret_why);
    if (!err)
        err = load_cost(settings, config, ret_why);
    if (!err)
        err = load_prompt(settings, config, ret_why);
    if (!err)
        err = load_patterns(settings, config, ret_why);
    if (!err)
        *ret_config = json_incref(config);
    return err;
}
