#include "services/cli/own_settings.h"

#include <stdio.h>
#include <string.h>

#include "services/cli/output.h"

static void notice(const char *name, const char *what)
{
    output_say(stderr, "%s: %s\n", name, what);
}

int own_settings_load(const struct args *args, const struct needed_setting *needed,
                      struct settings *ret_settings)
{
    char why[SETTINGS_WHY_SIZE];
    if (settings_load(settings_table, settings_count, args_text(args, "--env-file", ".env"),
                      ret_settings, notice, why)) {
        output_say(stderr, "mcpbus %s: %s\n", args->command->name, why);
        return CLI_USAGE;
    }
    for (; needed && needed->name; needed++) {
        const char *text;
        memcpy(&text, (const char *)ret_settings + needed->offset, sizeof text);
        if (text)
            continue;
        fprintf(stderr, "mcpbus %s: %s is not set: %s\n", args->command->name, needed->name,
                needed->takes);
        return CLI_USAGE;
    }
    return CLI_OK;
}
