#include "services/cli/help.h"

int cmd_help(int argc, char **argv)
{
    int words = 0;
    if (!argc) {
        help_print_all(stdout);
        return CLI_OK;
    }
    const struct command *command = command_find(argc, argv, &words);
    if (!command || words != argc) {
        fprintf(stderr, "mcpbus help: no such command: %s\n", argv[words < argc ? words : 0]);
        help_print_all(stderr);
        return CLI_USAGE;
    }
    help_print(stdout, command);
    return CLI_OK;
}
