#include <stdio.h>

#include "services/cli/args.h"

int cmd_version(int argc, char **argv)
{
    struct args args;
    if (args_parse("version", argc, argv, 0, 0, &args))
        return CLI_USAGE;
    printf("mcpbus %s\n", MCPBUS_VERSION);
    return CLI_OK;
}
