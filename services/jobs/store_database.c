/* jobs.database: how PostgreSQL does. What the role may not see is null. */
#include "libcommon/mem.h"
#include "services/jobs/store_json.h"

enum { DATABASE_READ_MS = 3000 };

/* clang-format off */
static const struct pg_statement database_statement = {
    "database",
    "SELECT current_setting('server_version'), current_user, pg_is_in_recovery(),"
    " current_setting('synchronous_commit'),"
    " (SELECT count(*) FROM pg_stat_activity WHERE backend_type IS NULL OR backend_type = 'client backend'),"
    " current_setting('max_connections')::integer,"
    " CASE WHEN has_database_privilege(current_database(), 'CONNECT')"
    "  THEN pg_database_size(current_database()) END,"
    " (SELECT floor(date_part('epoch', max(clock_timestamp() - xact_start)) * 1000)::bigint"
    "  FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend')",
    true};

static const struct pg_statement replicas_statement = {
    "database_replicas",
    "SELECT application_name, state, sync_state, CASE WHEN NOT pg_is_in_recovery()"
    "  THEN pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint END"
    " FROM pg_stat_replication ORDER BY application_name, pid LIMIT 32",
    true};
/* clang-format on */

struct database_call {
    struct store *store;
    struct store_json_call *call;
    json_t *result;
};

static void on_replicas(void *arg, enum err error, const struct pg_rows *rows)
{
    struct database_call *database = arg;
    json_t *replicas = json_array();
    for (size_t i = 0; i < pg_rows_count(rows); i++)
        json_array_append_new(replicas,
                              json_pack("{s:o, s:o, s:o, s:o}", "name", store_json_text(rows, i, 0),
                                        "state", store_json_text(rows, i, 1), "sync_state",
                                        store_json_text(rows, i, 2), "lag_bytes",
                                        store_json_number(rows, i, 3)));
    json_object_set_new(database->result, "replicas", replicas);
    store_json_end(database->call, error, database->result);
    free(database);
}

static void on_database(void *arg, enum err error, const struct pg_rows *rows)
{
    struct database_call *database = arg;
    if (error) {
        store_json_end(database->call, error, NULL);
        free(database);
        return;
    }
    struct store *store = database->store;
    database->result = json_pack(
        "{s:o, s:s, s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "version", store_json_text(rows, 0, 0),
        "server", pg_server(store->reader), "role", store_json_text(rows, 0, 1), "in_recovery",
        pg_rows_bool(rows, 0, 2), "synchronous_commit", store_json_text(rows, 0, 3), "connections",
        store_json_number(rows, 0, 4), "max_connections", store_json_number(rows, 0, 5),
        "database_bytes", store_json_number(rows, 0, 6), "oldest_transaction_ms",
        store_json_number(rows, 0, 7));
    pg_exec(store->reader, &replicas_statement, -1, DATABASE_READ_MS, NULL, 0, on_replicas,
            database);
}

void store_database(struct store *store, store_json_fn *done, void *arg)
{
    struct database_call *database = mem_alloc(sizeof *database);
    database->store = store;
    database->call = store_json_call(done, arg);
    pg_exec(store->reader, &database_statement, -1, DATABASE_READ_MS, NULL, 0, on_database,
            database);
}
