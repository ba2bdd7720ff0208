/* Arguments that may also come from standard input. */
#ifndef MCPBUS_CLI_INPUT_H
#define MCPBUS_CLI_INPUT_H

#include <jansson.h>

/* `word`, or all of standard input for "-", with a line's end taken off; free() it. An enum
 * cli_status: not CLI_OK, said on stderr. */
int input_text(const char *word, char **ret_text);
/* The same as a JSON object, the caller's. */
int input_json(const char *word, json_t **ret_object);

#endif
