#include <stdio.h>

#include "libcommon/js.h"
#include "services/cli/args.h"
#include "services/cli/output.h"

int cmd_version(int argc, char **argv)
{
    struct args args;
    if (args_parse("version", argc, argv, 0, 0, &args))
        return CLI_USAGE;
    if (args_flag(&args, "--json")) {
        AUTOJSON json_t *version = json_pack("{s:s}", "version", MCPBUS_VERSION);
        output_json(version);
    } else {
        printf("mcpbus %s\n", MCPBUS_VERSION);
    }
    return CLI_OK;
}
