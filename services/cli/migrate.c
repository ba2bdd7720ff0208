#include "services/cli/migrate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/mem.h"
#include "libcommon/pg.h"
#include "services/cli/output.h"

enum {
    PG_WHY_SIZE = 512,
    RETRY_MS = 200,
    CREATE_TRIES = 20,
    LOCK_TRIES = 20, /* of LOCK_MS each, with as much between them */
    LOCK_MS = 3000,
};

static const char create_sql[] =
    "BEGIN; SET LOCAL statement_timeout = 0;"
    "CREATE TABLE IF NOT EXISTS mcpbus_migrations (version integer PRIMARY KEY, name text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now());"
    "COMMIT";

/* Whatever limits the role or the database sets: only the wait for a lock is limited, since all
 * that comes behind a waiting ALTER TABLE waits with it, and the silence of a client that is gone.
 * The snapshots must see what was committed before the lock was got. */
static const char begin_sql[] = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
                                "SET LOCAL statement_timeout = 0;"
                                "SET LOCAL idle_in_transaction_session_timeout = '60s';"
                                "SET LOCAL lock_timeout = 0;"
                                "SET LOCAL standard_conforming_strings = on;"
                                "LOCK TABLE mcpbus_migrations IN EXCLUSIVE MODE";

/* Who holds what a migration waits for. */
static const char holder_sql[] =
    "SELECT format('process %s (%s, user %s, in a transaction since %s)', a.pid,"
    " coalesce(nullif(a.application_name, ''), 'no name'), a.usename,"
    " to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'))"
    " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.granted AND l.pid <> pg_backend_pid() AND l.relation IN (to_regclass('job_records'),"
    " to_regclass('job_data'), to_regclass('user_sessions'), to_regclass('job_queue'))"
    " ORDER BY a.xact_start LIMIT 1";

/* A database may give roles of the outside rights to every new table (Supabase's, whose REST API
 * serves them): not to ours. The owner's views, made again, keep theirs. */
static const char strangers_sql[] =
    "DO $$ DECLARE item record; BEGIN FOR item IN"
    " SELECT DISTINCT c.oid::regclass AS rel, pg_temp.role_name(a.grantee) AS name"
    " FROM pg_class c, aclexplode(c.relacl) a"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'v', 'S')"
    " AND c.relowner = current_user::regrole"
    " AND (c.relname = 'mcpbus_migrations'"
    "  OR c.oid NOT IN (SELECT oid FROM pg_temp.there_before))"
    " AND c.oid NOT IN (SELECT name::regclass FROM pg_temp.kept WHERE kind = 'view')"
    " AND pg_temp.role_name(a.grantee) IN ('PUBLIC', 'anon', 'authenticated') LOOP"
    " EXECUTE format('REVOKE ALL ON %s FROM %s', item.rel, item.name); END LOOP; END $$";

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
        char ignored[PG_WHY_SIZE];
        if (error && (pg_blocking_run(pg, "ROLLBACK", ignored) || error != ERR_CONFLICT))
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

static enum err run(struct pg_blocking *pg, const char *what, const char *sql, char *ret_why)
{
    char why[PG_WHY_SIZE] = "";
    enum err error = pg_blocking_run(pg, sql, why);
    return error ? explain(error, what, why, ret_why) : ERR_OK;
}

static enum err prepare(struct pg_blocking *pg, const struct migrate_options *options,
                        char *ret_why)
{
    AUTOFREE char *sql =
        mem_printf("SET LOCAL lock_timeout = %d; SET LOCAL mcpbus.pending_hours = "
                   "%d; SET LOCAL mcpbus.running = %s; "
                   "SET LOCAL mcpbus.took_over = ''",
                   LOCK_MS, options->pending_hours, options->run_running ? "run" : "fail");
    enum err error = run(pg, "database", sql, ret_why);
    return error ? error : run(pg, "takeover.sql", migration_tools, ret_why);
}

static enum err apply_missing(struct pg_blocking *pg, const struct migrate_options *options,
                              unsigned *ret_count, char *ret_why)
{
    unsigned count = 0;
    for (size_t i = 0; i < migration_count; i++) {
        AUTOFREE char *when = NULL;
        enum err error = applied(pg, migrations[i].version, &when, ret_why);
        if (error || when) {
            if (error)
                return error;
            continue;
        }
        if (!count++)
            error = prepare(pg, options, ret_why);
        if (!error)
            error = apply(pg, &migrations[i], ret_why);
        if (error)
            return error;
    }
    *ret_count = count;
    return count ? run(pg, "rights", strangers_sql, ret_why) : ERR_OK;
}

/* Releases are made so that the one before goes on with the tables of the next. */
static enum err tell_newer(struct pg_blocking *pg, FILE *out, char *ret_why)
{
    AUTOFREE char *last = mem_printf("%d", migrations[migration_count - 1].version);
    AUTOFREE char *newer = NULL;
    const char *values[] = {last};
    char why[PG_WHY_SIZE] = "";
    enum err error = pg_blocking_value(
        pg, "SELECT nullif(count(*), 0)::text FROM mcpbus_migrations WHERE version > $1::int",
        values, 1, &newer, why);
    if (error)
        return explain(error, "mcpbus_migrations", why, ret_why);
    if (newer)
        fprintf(out,
                "database: %s migrations are of a newer release than this mcpbus: update it, or "
                "see docs/upgrade.md for the way back\n",
                newer);
    return ERR_OK;
}

static enum err tell(struct pg_blocking *pg, unsigned count, bool dry_run, FILE *out, char *ret_why)
{
    if (!count) {
        fprintf(out, "database: up to date\n");
        return tell_newer(pg, out, ret_why);
    }
    fprintf(out, "database: %u migrations %s\n", count, dry_run ? "would be applied" : "applied");
    char why[PG_WHY_SIZE] = "";
    AUTOFREE char *text = NULL;
    enum err error = pg_blocking_value(pg, "SELECT current_setting('mcpbus.took_over', true)", NULL,
                                       0, &text, why);
    if (error)
        return explain(error, "database", why, ret_why);
    if (text && *text)
        output_say(out, "database: %s\n", text);
    return ERR_OK;
}

static enum err migrate_once(struct pg_blocking *pg, const struct migrate_options *options,
                             FILE *out, char *ret_why)
{
    unsigned count = 0;
    enum err error = run(pg, "mcpbus_migrations", begin_sql, ret_why);
    if (!error)
        error = apply_missing(pg, options, &count, ret_why);
    /* What is told must be true when it is read: COMMIT may fail still. */
    AUTOFREE char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (!memory)
        return ERR_INTERNAL;
    if (!error)
        error = tell(pg, count, options->dry_run, memory, ret_why);
    fclose(memory);
    if (!error)
        error = run(pg, "COMMIT", options->dry_run ? "ROLLBACK" : "COMMIT", ret_why);
    if (!error)
        fputs(text, out);
    return error;
}

/* A migration needs some tables alone; as long as another session uses one, it stands back again
 * and again, so that nobody waits for longer than LOCK_MS. */
static enum err migrate_patiently(struct pg_blocking *pg, const struct migrate_options *options,
                                  FILE *out, char *ret_why)
{
    for (int i = 1;; i++) {
        enum err error = migrate_once(pg, options, out, ret_why);
        if (error != ERR_TIMEOUT)
            return error;
        char why[PG_WHY_SIZE] = "";
        AUTOFREE char *holder = NULL;
        if (pg_blocking_run(pg, "ROLLBACK", why) ||
            pg_blocking_value(pg, holder_sql, NULL, 0, &holder, why))
            return explain(ERR_INTERNAL, "database", why, ret_why);
        if (i == LOCK_TRIES) {
            AUTOFREE char *who = mem_printf(
                "a table is in use by %s; stop it and migrate again: nothing has changed",
                holder ? holder : "another session");
            return explain(ERR_TIMEOUT, "database", who, ret_why);
        }
        output_say(out, "database: waiting for %s\n", holder ? holder : "another session's lock");
        fflush(out);
        sleep_ms(LOCK_MS);
    }
}

enum err migrate_with(const char *url, int patience_ms, const struct migrate_options *options,
                      FILE *out, char ret_why[MIGRATE_WHY_SIZE])
{
    struct pg_blocking *pg = NULL;
    enum err error = open_patiently(url, patience_ms, &pg, ret_why);
    if (!error)
        error = create_table(pg, ret_why);
    if (!error)
        error = migrate_patiently(pg, options, out, ret_why);
    pg_blocking_close(&pg);
    return error;
}

enum err migrate(const char *url, int patience_ms, FILE *out, char ret_why[MIGRATE_WHY_SIZE])
{
    const struct migrate_options options = {.pending_hours = 24};
    return migrate_with(url, patience_ms, &options, out, ret_why);
}

static enum err read_status(struct pg_blocking *pg, json_t *list, char *ret_why)
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
        json_array_append_new(
            list, json_pack("{s:s, s:s?}", "name", migrations[i].name, "applied_at", when));
    }
    return ERR_OK;
}

enum err migrate_status(const char *url, int patience_ms, json_t **ret_list,
                        char ret_why[MIGRATE_WHY_SIZE])
{
    struct pg_blocking *pg = NULL;
    json_t *list = json_array();
    enum err error = open_patiently(url, patience_ms, &pg, ret_why);
    if (!error)
        error = read_status(pg, list, ret_why);
    pg_blocking_close(&pg);
    if (error)
        json_decref(list);
    else
        *ret_list = list;
    return error;
}
