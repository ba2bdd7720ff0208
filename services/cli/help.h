/* What the table of commands says, for people: the list of commands, all about one, the manual page
 * and the reference in docs/. */
#ifndef MCPBUS_CLI_HELP_H
#define MCPBUS_CLI_HELP_H

#include <stdio.h>

#include "services/cli/commands.h"

void help_print_all(FILE *out);
void help_print(FILE *out, const struct command *command);
/* "jobs": the commands below it (`out` NULL: not printed); false: there are none. */
bool help_print_below(FILE *out, const char *word);
/* What may have been meant by words that begin no command, on stderr; false: nothing is near. */
bool help_suggest(const char *word, const char *next);

void help_print_man(FILE *out);
void help_print_markdown(FILE *out);
/* On stdout: {"version", "commands": [{"name", "arguments", "summary", "details", "on_bus",
 * "options": [{"name", "value", "help"}]}], "bus_options": […], "statuses": [{"status", "means"}]}
 */
void help_print_json(void);

struct help_status {
    int status;
    const char *meaning;
};
extern const struct help_status help_statuses[]; /* ends with a NULL meaning */

#endif
