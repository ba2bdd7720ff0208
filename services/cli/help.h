/* What the table of commands says, for people: the list of commands, and all about one. */
#ifndef MCPBUS_CLI_HELP_H
#define MCPBUS_CLI_HELP_H

#include <stdio.h>

#include "services/cli/commands.h"

void help_print_all(FILE *out);
void help_print(FILE *out, const struct command *command);

#endif
