/* Settings: one typed table (name, type, default, range, a sentence), filled from the environment
 * and a .env file (the environment wins). A malformed value refuses with one line that names the
 * variable and what it takes. --help and .env.example come from the same table. */
#ifndef MCPBUS_SETTINGS_H
#define MCPBUS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "libcommon/err.h"

enum setting_type {
    SETTING_STRING,
    SETTING_SECRET, /* a string that is never printed */
    SETTING_INT,
    SETTING_URL,      /* http:// or https:// */
    SETTING_CHOICE,   /* one of `choices`, comma-separated */
    SETTING_OBSOLETE, /* accepted, said to be no longer needed */
};

struct setting {
    const char *name;
    enum setting_type type;
    size_t offset;   /* of a `const char *` (NULL when unset) or an int64_t in the owner's struct */
    const char *def; /* NULL: unset */
    int64_t min, max;
    const char *choices;
    const char *help;
};

/* Fills `config` (zeroed by the caller; texts live as long as the process). `env_file`: path of the
 * .env file, NULL or missing is fine. On ERR_INVALID `ret_why` has the line for the user.
 * Unknown names in the file and obsolete ones are passed to `notice` (may be NULL), and as "line N"
 * what is no line of a .env file; both texts are valid during the call only. */
enum { SETTINGS_WHY_SIZE = 512 };
typedef void settings_notice_fn(const char *name, const char *what);
MUST_CHECK enum err settings_load(const struct setting *table, size_t count, const char *env_file,
                                  void *config, settings_notice_fn *notice,
                                  char ret_why[SETTINGS_WHY_SIZE]);

/* "NAME (what it takes; default …): help" lines; or a commented .env file. */
void settings_print_help(const struct setting *table, size_t count, FILE *out);
void settings_print_env_example(const struct setting *table, size_t count, FILE *out);

#endif
