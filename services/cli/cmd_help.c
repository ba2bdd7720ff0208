#include "services/cli/args.h"
#include "services/cli/help.h"

int cmd_help(int argc, char **argv)
{
    struct args args;
    int words = 0;
    if (args_parse("help", argc, argv, 0, ARGS_MAX, &args))
        return CLI_USAGE;
    if (args_flag(&args, "--man"))
        help_print_man(stdout);
    else if (args_flag(&args, "--markdown"))
        help_print_markdown(stdout);
    else if (args_flag(&args, "--json"))
        help_print_json();
    else if (!args.word_count)
        help_print_all(stdout);
    else {
        const struct command *command =
            command_find(args.word_count, (char *const *)args.words, &words);
        if (command && words == args.word_count) {
            help_print(stdout, command);
        } else if (args.word_count != 1 || !help_print_below(stdout, args.words[0])) {
            fprintf(stderr, "mcpbus help: there is no such command\n");
            if (!help_suggest(args.words[0], args.word_count > 1 ? args.words[1] : NULL))
                help_print_all(stderr);
            return CLI_USAGE;
        }
    }
    return CLI_OK;
}
