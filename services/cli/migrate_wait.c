#include <stdlib.h>
#include <time.h>

#include "libcommon/mem.h"
#include "libcommon/pg.h"
#include "services/cli/migrate.h"

enum { PG_WHY_SIZE = 512, RETRY_MS = 200 };

/* How many are missing. */
static enum err count_missing(struct pg_blocking *pg, size_t *ret_missing, char *ret_why)
{
    AUTOFREE char *table = NULL;
    size_t missing = 0;
    enum err error = pg_blocking_value(pg, "SELECT to_regclass('mcpbus_migrations')::text", NULL, 0,
                                       &table, ret_why);
    for (size_t i = 0; i < migration_count && !error; i++) {
        AUTOFREE char *number = mem_printf("%d", migrations[i].version);
        AUTOFREE char *found = NULL;
        const char *values[] = {number};
        if (table)
            error = pg_blocking_value(
                pg, "SELECT version::text FROM mcpbus_migrations WHERE version = $1::int", values,
                1, &found, ret_why);
        missing += !found;
    }
    if (!error)
        *ret_missing = missing;
    return error;
}

/* One look, with a connection of its own: a server that starts anew meanwhile does no harm. */
static enum err look(const char *url, size_t *ret_missing, char *ret_why)
{
    struct pg_blocking *pg = NULL;
    enum err error = pg_blocking_open(url, &pg, ret_why);
    if (!error)
        error = count_missing(pg, ret_missing, ret_why);
    pg_blocking_close(&pg);
    return error;
}

enum err migrate_wait(const char *url, int patience_ms, FILE *out, char ret_why[MIGRATE_WHY_SIZE])
{
    static const struct timespec pause = {0, RETRY_MS * 1000000L};
    char why[PG_WHY_SIZE] = "";
    size_t missing = 0;
    enum err error = look(url, &missing, why);
    for (int waited = 0; waited < patience_ms; waited += RETRY_MS) {
        if (error ? error != ERR_PEER_LOST : !missing)
            break;
        nanosleep(&pause, NULL);
        error = look(url, &missing, why);
    }
    if (error)
        snprintf(ret_why, MIGRATE_WHY_SIZE, "DATABASE_URL: %s", why);
    else if (missing)
        snprintf(ret_why, MIGRATE_WHY_SIZE, "%zu migrations are missing: mcpbus migrate", missing);
    else
        fprintf(out, "database: up to date\n");
    return error ? error : missing ? ERR_TIMEOUT : ERR_OK;
}
