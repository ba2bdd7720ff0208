/* Brings a database up to date: the SQL files of migrations/, built in, each applied once. Safe
 * from several replicas at once. Blocks. */
#ifndef MCPBUS_CLI_MIGRATE_H
#define MCPBUS_CLI_MIGRATE_H

#include <stddef.h>
#include <stdio.h>

#include "libcommon/err.h"

struct migration {
    int version;
    const char *name, *sql;
};

extern const struct migration migrations[]; /* in order */
extern const size_t migration_count;

enum { MIGRATE_WHY_SIZE = 640 };

/* Waits up to `patience_ms` for a server that is starting. Says on `out` what it applied. On an
 * error `ret_why` has the line for the user, and the database is as before. */
MUST_CHECK enum err migrate(const char *url, int patience_ms, FILE *out,
                            char ret_why[MIGRATE_WHY_SIZE]);
/* A line for each migration: applied when, or missing. */
MUST_CHECK enum err migrate_status(const char *url, int patience_ms, FILE *out,
                                   char ret_why[MIGRATE_WHY_SIZE]);

#endif
