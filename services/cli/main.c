/* mcpbus: the command line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "services/cli/help.h"
#include "services/cli/output.h"

static bool asks_help(const char *text)
{
    return !strcmp(text, "--help") || !strcmp(text, "-h");
}

static int unknown(const char *word, const char *next)
{
    bool group = help_print_below(NULL, word);
    if (group && next && asks_help(next)) {
        help_print_below(stdout, word);
        return CLI_OK;
    }
    if (group && !next) {
        help_print_below(stderr, word);
        return CLI_USAGE;
    }
    output_say(stderr, "mcpbus: there is no command %s%s%s\n", word, group ? " " : "",
               group ? next : "");
    if (help_suggest(word, next))
        return CLI_USAGE;
    fputc('\n', stderr);
    if (group)
        help_print_below(stderr, word);
    else
        help_print_all(stderr);
    return CLI_USAGE;
}

/* A result that could not be written (a full disk) is none. */
static int ended(int status)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "mcpbus: standard output: %s\n", errno ? strerror(errno) : "can't be written");
    return status ? status : CLI_FAILED;
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
    if (!command)
        return unknown(argv[1], argc > 2 ? argv[2] : NULL);
    int rest = 1 + words;
    for (int i = rest; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (asks_help(argv[i])) {
            help_print(stdout, command);
            return CLI_OK;
        }
    }
    return ended(command->run(argc - rest, argv + rest));
}
