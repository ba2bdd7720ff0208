#include <stdio.h>

#include "services/cli/args.h"
#include "services/settings.h"

int cmd_settings(int argc, char **argv)
{
    struct args args;
    if (args_parse("settings", argc, argv, 0, 0, &args))
        return CLI_USAGE;
    if (args_flag(&args, "--env-example"))
        settings_print_env_example(settings_table, settings_count, stdout);
    else
        settings_print_help(settings_table, settings_count, stdout);
    return CLI_OK;
}
