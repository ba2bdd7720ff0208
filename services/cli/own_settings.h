/* The settings of commands that need no bus, from the environment and --env-file. */
#ifndef MCPBUS_CLI_OWN_SETTINGS_H
#define MCPBUS_CLI_OWN_SETTINGS_H

#include "services/cli/args.h"
#include "services/settings.h"

/* CLI_OK; CLI_USAGE, said on stderr, also when a name of `needed` (NULL ends it) is not set: each
 * with what it takes. Texts live as long as the process. */
struct needed_setting {
    const char *name, *takes;
    size_t offset; /* in struct settings, of a text */
};
int own_settings_load(const struct args *args, const struct needed_setting *needed,
                      struct settings *ret_settings);

#endif
