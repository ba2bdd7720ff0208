/* The arguments of one command, parsed by its row of the table: options anywhere, "--name VALUE" or
 * "--name=VALUE", "--" ends them; what is left are the words. */
#ifndef MCPBUS_CLI_ARGS_H
#define MCPBUS_CLI_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/err.h"
#include "services/cli/commands.h"

enum { ARGS_MAX = 64 };

struct args {
    const struct command *command;
    const char *words[ARGS_MAX];
    int word_count;
    struct {
        const char *name; /* the table's own string */
        const char *value;
    } options[ARGS_MAX];
    int option_count;
};

/* ERR_INVALID: said on stderr, with the usage. Texts are those of argv. */
MUST_CHECK enum err args_parse(const char *command, int argc, char **argv, int min_words,
                               int max_words, struct args *ret_args);

/* The last value of an option, or `def`; the option must be in the command's row. */
const char *args_text(const struct args *args, const char *name, const char *def);
bool args_flag(const struct args *args, const char *name);
/* ERR_INVALID, said on stderr, when it is no whole number from `min` to `max`. */
MUST_CHECK enum err args_int(const struct args *args, const char *name, int64_t def, int64_t min,
                             int64_t max, int64_t *ret_value);

#endif
