/* Brings a database up to date: the SQL files of migrations/, built in, each applied once. Safe
 * from several replicas at once. Blocks. */
#ifndef MCPBUS_CLI_MIGRATE_H
#define MCPBUS_CLI_MIGRATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "libcommon/err.h"

struct migration {
    int version;
    const char *name, *sql;
};

extern const struct migration migrations[]; /* in order */
extern const size_t migration_count;
extern const char migration_tools[]; /* migrations/takeover.sql: run before what is missing */

enum { MIGRATE_WHY_SIZE = 640 };

/* Waits up to `patience_ms` for a server that is starting. Says on `out` what it applied. On an
 * error `ret_why` has the line for the user, and the database is as before. */
MUST_CHECK enum err migrate(const char *url, int patience_ms, FILE *out,
                            char ret_why[MIGRATE_WHY_SIZE]);

/* What becomes of jobs that the original left unfinished. */
struct migrate_options {
    int pending_hours; /* older ones that still waited fail; 0: all */
    bool run_running;  /* what ran there is run again; else it fails */
    bool dry_run;      /* does it all, says it, and takes it back */
};
MUST_CHECK enum err migrate_with(const char *url, int patience_ms,
                                 const struct migrate_options *options, FILE *out,
                                 char ret_why[MIGRATE_WHY_SIZE]);
/* [{"name", "applied_at": "…" or null}], the caller's: each migration, in order. */
MUST_CHECK enum err migrate_status(const char *url, int patience_ms, json_t **ret_list,
                                   char ret_why[MIGRATE_WHY_SIZE]);
/* Changes nothing: waits up to `patience_ms` until another has applied them all, else ERR_TIMEOUT.
 */
MUST_CHECK enum err migrate_wait(const char *url, int patience_ms, FILE *out,
                                 char ret_why[MIGRATE_WHY_SIZE]);

#endif
