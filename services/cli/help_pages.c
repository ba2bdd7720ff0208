/* The manual page (man 7 man) and the reference of docs/cli.md, from the table. */
#include <string.h>

#include "services/cli/help.h"

/* A text of the table for roff: a hyphen is one, a backslash too, and no line begins a request. */
static void roff(FILE *out, const char *text)
{
    for (bool at_start = true; *text; text++) {
        if (at_start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else
            fputc(*text, out);
        at_start = *text == '\n';
    }
}

static void man_options(FILE *out, const struct command_option *options)
{
    for (; options && options->name; options++) {
        fputs(".TP\n\\fB", out);
        roff(out, options->name);
        fputs("\\fR", out);
        if (options->value) {
            fputs(" \\fI", out);
            roff(out, options->value);
            fputs("\\fR", out);
        }
        fputc('\n', out);
        roff(out, options->help);
        fputc('\n', out);
    }
}

static void man_command(FILE *out, const struct command *command)
{
    fputs(".SS mcpbus ", out);
    roff(out, command->name);
    fprintf(out, " %s\nIt ", command->arguments);
    roff(out, command->summary);
    fputs(".\n", out);
    if (command->details) {
        fputs(".PP\n", out);
        roff(out, command->details);
        fputc('\n', out);
    }
    man_options(out, command->options);
}

void help_print_man(FILE *out)
{
    fprintf(out,
            ".TH MCPBUS 1 \"\" \"mcpbus %s\" \"mcpbus\"\n.SH NAME\nmcpbus \\- run and look after "
            "jobs, workers and brokers\n.SH SYNOPSIS\n.B mcpbus\n.I COMMAND\n[\\fIOPTION\\fR]... "
            "[\\fIARGUMENT\\fR]...\n.SH COMMANDS\n",
            MCPBUS_VERSION);
    for (size_t i = 0; i < command_count; i++)
        man_command(out, &commands[i]);
    fputs(".SH OPTIONS OF COMMANDS THAT USE THE BUS\n", out);
    man_options(out, bus_options_common);
    fputs(".SH EXIT STATUS\n", out);
    for (const struct help_status *row = help_statuses; row->meaning; row++)
        fprintf(out, ".TP\n.B %d\n%s\n", row->status, row->meaning);
    fputs(".SH ENVIRONMENT\nBROKER_ENDPOINT, BUS_KEYS, BUS_KEY, BUS_SECURITY, from the environment "
          "or a .env\nfile in the current folder; NO_COLOR: no colours.\n.SH FILES\n.TP\n.I "
          ".run/env\nof a stack of ./dev up in the current folder: used when nothing else says "
          "where the\nbrokers are.\n.SH SEE ALSO\n.BR mcpbus (3)\n",
          out);
}

static void markdown_options(FILE *out, const struct command_option *options)
{
    for (; options && options->name; options++)
        fprintf(out, "- `%s%s%s`: %s\n", options->name, options->value ? " " : "",
                options->value ? options->value : "", options->help);
}

void help_print_markdown(FILE *out)
{
    fputs("| command | does |\n| --- | --- |\n", out);
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        fprintf(out, "| `mcpbus %s%s", command->name, *command->arguments ? " " : "");
        for (const char *at = command->arguments; *at; at++)
            fprintf(out, *at == '|' ? "\\|" : "%c", *at);
        fprintf(out, "` | %s |\n", command->summary);
    }
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        if (!command->options && !command->details)
            continue;
        fprintf(out, "\n### mcpbus %s\n\n", command->name);
        if (command->details)
            fprintf(out, "%s\n%s", command->details, command->options ? "\n" : "");
        markdown_options(out, command->options);
    }
    fputs("\n### Options of every command that uses the bus\n\n", out);
    markdown_options(out, bus_options_common);
    fputs("\n### Exit status\n\n| status | means |\n| --- | --- |\n", out);
    for (const struct help_status *row = help_statuses; row->meaning; row++)
        fprintf(out, "| %d | %s |\n", row->status, row->meaning);
}
