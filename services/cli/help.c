#include "services/cli/help.h"

#include <string.h>

#include "libcommon/mem.h"
#include "libcommon/near.h"

enum { ROW_WIDTH = 28 };

const struct help_status help_statuses[] = {
    {CLI_OK, "all went well"},
    {CLI_FAILED, "the call or job failed, or something is wrong"},
    {CLI_USAGE, "wrong arguments or settings"},
    {CLI_NO_BROKER, "no broker answers, or the key is refused"},
    {CLI_TIMEOUT, "no answer, or no end, within the time"},
    {CLI_INTERRUPTED, "interrupted"},
    {0, NULL},
};

static void print_options(FILE *out, const struct command_option *options)
{
    char left[64];
    for (; options && options->name; options++) {
        snprintf(left, sizeof left, "%s%s%s", options->name, options->value ? " " : "",
                 options->value ? options->value : "");
        fprintf(out, strlen(left) > 26 ? "  %s\n  %-26s %s\n" : "  %-26s %s%s\n", left,
                strlen(left) > 26 ? "" : options->help, strlen(left) > 26 ? options->help : "");
    }
}

void help_print(FILE *out, const struct command *command)
{
    bool options = command->options || command->on_bus;
    fprintf(out, "usage: mcpbus %s%s%s%s\n\nIt %s.\n", command->name, options ? " [OPTION]…" : "",
            *command->arguments ? " " : "", command->arguments, command->summary);
    if (command->details)
        fprintf(out, "\n%s\n", command->details);
    if (options)
        fprintf(out, "\noptions:\n");
    print_options(out, command->options);
    if (command->on_bus)
        print_options(out, bus_options_common);
}

static void print_row(FILE *out, const struct command *command)
{
    char left[64];
    int pad = ROW_WIDTH;
    snprintf(left, sizeof left, "%s %s", command->name, command->arguments);
    for (const char *at = left; *at; at++)
        pad -= ((unsigned char)*at & 0xc0) != 0x80;
    fprintf(out, "  %s%*s %s\n", left, pad > 0 ? pad : 0, "", command->summary);
}

void help_print_all(FILE *out)
{
    fprintf(out, "usage: mcpbus COMMAND [OPTION]… [ARGUMENT]…\n\n");
    for (size_t i = 0; i < command_count; i++)
        print_row(out, &commands[i]);
    fprintf(out, "\nmcpbus help COMMAND says more about one.\n");
}

/* Names of two words are held against both of what was typed, and by their second word against the
 * first alone: "drain" for "workers drain". */
bool help_suggest(const char *word, const char *next)
{
    AUTOFREE char *both = mem_printf("%s %s", word, next ? next : "");
    const char *best = NULL;
    unsigned distance = 0;
    for (size_t i = 0; i < command_count; i++) {
        const char *name = commands[i].name, *below = strchr(name, ' ');
        struct near near;
        if (next && !strcmp(name, word))
            continue; /* that was understood */
        near_begin(&near, below && next ? both : word);
        near_offer(&near, name);
        if (below && !near.best) {
            near_begin(&near, word);
            near_offer(&near, below + 1);
        }
        if (near.best && (!best || near.distance < distance)) {
            best = name;
            distance = near.distance;
        }
    }
    if (best)
        fprintf(stderr, "did you mean mcpbus %s?\n", best);
    return best != NULL;
}

bool help_print_below(FILE *out, const char *word)
{
    size_t len = strlen(word);
    bool any = false;
    for (size_t i = 0; i < command_count; i++) {
        if (strncmp(commands[i].name, word, len) != 0 || commands[i].name[len] != ' ')
            continue;
        if (out)
            print_row(out, &commands[i]);
        any = true;
    }
    return any;
}
