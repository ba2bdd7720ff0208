#include "services/cli/help.h"

static void print_options(FILE *out, const struct command_option *options)
{
    char left[64];
    for (; options && options->name; options++) {
        snprintf(left, sizeof left, "%s%s%s", options->name, options->value ? " " : "",
                 options->value ? options->value : "");
        fprintf(out, "  %-24s %s\n", left, options->help);
    }
}

void help_print(FILE *out, const struct command *command)
{
    bool options = command->options || command->on_bus;
    fprintf(out, "usage: mcpbus %s%s%s%s\n\n%s.\n", command->name, options ? " [OPTION]…" : "",
            *command->arguments ? " " : "", command->arguments, command->summary);
    if (command->details)
        fprintf(out, "\n%s\n", command->details);
    if (options)
        fprintf(out, "\noptions:\n");
    print_options(out, command->options);
    if (command->on_bus)
        print_options(out, bus_options_common);
}

void help_print_all(FILE *out)
{
    fprintf(out, "usage: mcpbus COMMAND [OPTION]… [ARGUMENT]…\n\n");
    for (size_t i = 0; i < command_count; i++)
        fprintf(out, "  %-16s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\nmcpbus help COMMAND says more about one.\n");
}
