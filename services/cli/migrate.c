#include "services/cli/migrate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/mem.h"
#include "libcommon/pg.h"

enum { PG_WHY_SIZE = 512, RETRY_MS = 200, CREATE_TRIES = 20 };

static const char create_sql[] =
    "CREATE TABLE IF NOT EXISTS mcpbus_migrations (version integer PRIMARY KEY, name text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now())";

static void sleep_ms(int ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&time, NULL);
}

static enum err explain(enum err error, const char *what, const char *why, char *ret_why)
{
    snprintf(ret_why, MIGRATE_WHY_SIZE, "%s: %s", what, why);
    return error;
}

static enum err open_patiently(const char *url, int patience_ms, struct pg_blocking **ret_pg,
                               char *ret_why)
{
    char why[PG_WHY_SIZE] = "";
    enum err error = pg_blocking_open(url, ret_pg, why);
    for (int waited = 0; error == ERR_PEER_LOST && waited < patience_ms; waited += RETRY_MS) {
        sleep_ms(RETRY_MS);
        error = pg_blocking_open(url, ret_pg, why);
    }
    return error ? explain(error, "DATABASE_URL: no connection", why, ret_why) : ERR_OK;
}

/* Two replicas that create the table at once collide in the catalog, IF NOT EXISTS or not. */
static enum err create_table(struct pg_blocking *pg, char *ret_why)
{
    char why[PG_WHY_SIZE] = "";
    enum err error = ERR_INTERNAL;
    for (int i = 0; i < CREATE_TRIES && error; i++) {
        if (i)
            sleep_ms(RETRY_MS / 4);
        error = pg_blocking_run(pg, create_sql, why);
        if (error && error != ERR_CONFLICT)
            break;
    }
    return error ? explain(error, "mcpbus_migrations", why, ret_why) : ERR_OK;
}

/* `ret_when` NULL: not applied. */
static enum err applied(struct pg_blocking *pg, int version, char **ret_when, char *ret_why)
{
    char number[16], why[PG_WHY_SIZE] = "";
    snprintf(number, sizeof number, "%d", version);
    const char *values[] = {number};
    enum err error = pg_blocking_value(
        pg,
        "SELECT to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        " FROM mcpbus_migrations WHERE version = $1::int",
        values, 1, ret_when, why);
    return error ? explain(error, "mcpbus_migrations", why, ret_why) : ERR_OK;
}

static enum err apply(struct pg_blocking *pg, const struct migration *migration, char *ret_why)
{
    char number[16], why[PG_WHY_SIZE] = "";
    AUTOFREE char *nothing = NULL;
    snprintf(number, sizeof number, "%d", migration->version);
    const char *values[] = {number, migration->name};
    enum err error = pg_blocking_run(pg, migration->sql, why);
    if (!error)
        error = pg_blocking_value(
            pg, "INSERT INTO mcpbus_migrations (version, name) VALUES ($1::int, $2)", values, 2,
            &nothing, why);
    return error ? explain(error, migration->name, why, ret_why) : ERR_OK;
}

static enum err apply_missing(struct pg_blocking *pg, FILE *out, char *ret_why)
{
    unsigned count = 0;
    for (size_t i = 0; i < migration_count; i++) {
        AUTOFREE char *when = NULL;
        enum err error = applied(pg, migrations[i].version, &when, ret_why);
        if (!error && !when) {
            error = apply(pg, &migrations[i], ret_why);
            count++;
        }
        if (error)
            return error;
    }
    char why[PG_WHY_SIZE] = "";
    enum err error = pg_blocking_run(pg, "COMMIT", why);
    if (error)
        return explain(error, "COMMIT", why, ret_why);
    fprintf(out, count ? "database: %u migrations applied\n" : "database: up to date\n", count);
    return ERR_OK;
}

enum err migrate(const char *url, int patience_ms, FILE *out, char ret_why[MIGRATE_WHY_SIZE])
{
    struct pg_blocking *pg = NULL;
    char why[PG_WHY_SIZE] = "";
    enum err error = open_patiently(url, patience_ms, &pg, ret_why);
    if (!error)
        error = create_table(pg, ret_why);
    if (!error) {
        error = pg_blocking_run(pg, "BEGIN; LOCK TABLE mcpbus_migrations IN EXCLUSIVE MODE", why);
        error = error ? explain(error, "mcpbus_migrations", why, ret_why)
                      : apply_missing(pg, out, ret_why);
    }
    pg_blocking_close(&pg);
    return error;
}

static enum err print_status(struct pg_blocking *pg, FILE *out, char *ret_why)
{
    AUTOFREE char *table = NULL;
    char why[PG_WHY_SIZE] = "";
    enum err error = pg_blocking_value(pg, "SELECT to_regclass('mcpbus_migrations')::text", NULL, 0,
                                       &table, why);
    if (error)
        return explain(error, "mcpbus_migrations", why, ret_why);
    for (size_t i = 0; i < migration_count; i++) {
        AUTOFREE char *when = NULL;
        error = table ? applied(pg, migrations[i].version, &when, ret_why) : ERR_OK;
        if (error)
            return error;
        fprintf(out, "%s %s%s\n", migrations[i].name, when ? "applied " : "missing",
                when ? when : "");
    }
    return ERR_OK;
}

enum err migrate_status(const char *url, int patience_ms, FILE *out, char ret_why[MIGRATE_WHY_SIZE])
{
    struct pg_blocking *pg = NULL;
    enum err error = open_patiently(url, patience_ms, &pg, ret_why);
    if (!error)
        error = print_status(pg, out, ret_why);
    pg_blocking_close(&pg);
    return error;
}
