#include "services/cli/bus_settings.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/mem.h"
#include "libcommon/settings.h"
#include "services/cli/output.h"

struct config {
    const char *brokers, *keys, *key, *security, *run_dir;
    const char *gateway_url, *public_url, *monitor_url;
};

/* Without defaults: what is not set here may be set elsewhere. */
static const struct setting table[] = {
    {"BROKER_ENDPOINT", SETTING_STRING, offsetof(struct config, brokers), NULL, 0, 0, NULL, ""},
    {"BUS_KEYS", SETTING_STRING, offsetof(struct config, keys), NULL, 0, 0, NULL, ""},
    {"BUS_KEY", SETTING_STRING, offsetof(struct config, key), NULL, 0, 0, NULL, ""},
    {"BUS_SECURITY", SETTING_CHOICE, offsetof(struct config, security), NULL, 0, 0, "curve,plain",
     ""},
    {"MCPBUS_RUN_DIR", SETTING_STRING, offsetof(struct config, run_dir), NULL, 0, 0, NULL, ""},
    {"GATEWAY_URL", SETTING_STRING, offsetof(struct config, gateway_url), NULL, 0, 0, NULL, ""},
    {"PUBLIC_URL", SETTING_STRING, offsetof(struct config, public_url), NULL, 0, 0, NULL, ""},
    {"MONITOR_URL", SETTING_STRING, offsetof(struct config, monitor_url), NULL, 0, 0, NULL, ""},
};

static const char default_brokers[] = "tcp://127.0.0.1:5550";

static int load(const char *file, struct config *config)
{
    char why[SETTINGS_WHY_SIZE];
    if (settings_load(table, sizeof table / sizeof *table, file, config, NULL, why) == ERR_OK)
        return CLI_OK;
    output_say(stderr, "mcpbus: %s\n", why);
    return CLI_USAGE;
}

static const char *first(const char *a, const char *b)
{
    return a ? a : b;
}

int bus_settings_load(const struct args *args, struct bus_settings *ret_settings)
{
    static struct config set, stack; /* the texts' owner */
    const char *brokers = args_text(args, "--brokers", NULL);
    struct bus_settings found = {.origin = "--brokers"};
    int64_t timeout = 0;
    if (args_int(args, "--timeout", 0, 1, 86400, &timeout))
        return CLI_USAGE;
    found.timeout_ms = timeout * 1000;
    int status = load(args_text(args, "--env-file", ".env"), &set);
    if (status)
        return status;
    if (!set.brokers) {
        static char *path;
        path = mem_printf("%s/env", first(set.run_dir, ".run"));
        if (access(path, R_OK) == 0)
            status = load(path, &stack);
        if (status)
            return status;
        if (!brokers)
            found.origin = path;
    } else if (!brokers) {
        found.origin = "BROKER_ENDPOINT";
    }
    found.brokers = first(brokers, first(set.brokers, stack.brokers));
    if (!found.brokers) {
        found.brokers = default_brokers;
        found.origin = "the default";
    }
    found.keys = args_text(args, "--keys", first(set.keys, stack.keys));
    found.key = args_text(args, "--key", first(set.key, stack.key));
    const char *security = first(set.security, stack.security);
    found.json = args_flag(args, "--json");
    found.gateway_url =
        first(first(set.public_url, set.gateway_url), first(stack.public_url, stack.gateway_url));
    found.monitor_url = first(set.monitor_url, stack.monitor_url);
    found.plain = security && !strcmp(security, "plain");
    *ret_settings = found;
    return CLI_OK;
}
