/* mcpbus: the command line. */
#include <stdio.h>
#include <string.h>

#include "services/cli/help.h"

static bool asks_help(const char *text)
{
    return !strcmp(text, "--help") || !strcmp(text, "-h");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        help_print_all(stderr);
        return CLI_USAGE;
    }
    if (asks_help(argv[1]))
        return cmd_help(0, NULL);
    if (!strcmp(argv[1], "--version"))
        return cmd_version(0, NULL);
    int words = 0;
    const struct command *command = command_find(argc - 1, argv + 1, &words);
    if (!command) {
        fprintf(stderr, "mcpbus: no such command: %s\n\n", argv[1]);
        help_print_all(stderr);
        return CLI_USAGE;
    }
    int rest = 1 + words;
    if (rest < argc && asks_help(argv[rest])) {
        help_print(stdout, command);
        return CLI_OK;
    }
    return command->run(argc - rest, argv + rest);
}
