/* The table audit_log: rows are added in groups, behind the answer that they tell of. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/auth/store_internal.h"

enum { BATCH_MAX = 256, WAITING_MAX = 10000, TIMEOUT_MS = 20000, COLUMNS = 7, NUMBER_SIZE = 24 };

/* A run that was under way when its user was forgotten may ask for access still: such rows come
 * without a person. Who has a session again is nobody forgotten. */
/* clang-format off */
static const struct pg_statement sql_add = {
    .name = "audit_add",
    .sql = "INSERT INTO audit_log (event, outcome, user_id, job_id, address, request_id, detail) "
           "SELECT event, outcome, CASE WHEN gone THEN mark ELSE user_id END, "
           "CASE WHEN NOT gone THEN job_id END, CASE WHEN NOT gone THEN address END, "
           "CASE WHEN NOT gone THEN request_id END, CASE WHEN NOT gone THEN detail::json END "
           "FROM (SELECT t.*, NOT EXISTS (SELECT FROM user_sessions s WHERE s.user_id = t.user_id) "
           "AND EXISTS (SELECT FROM audit_log a WHERE a.user_id = mark "
           "AND a.event = 'user_forgotten') AS gone FROM "
           "(SELECT *, " STORE_MARK("user_id") " AS mark FROM "
           "unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], "
           "$7::text[]) AS u (event, outcome, user_id, job_id, address, request_id, detail)) t) r",
};
/* clang-format on */

static const struct pg_statement sql_reason = {
    .name = "audit_reason",
    .idempotent = true,
    .sql = "SELECT set_config('mcpbus.audit', $1, true)",
};

static const struct pg_statement sql_clean = {
    .name = "audit_clean",
    .idempotent = true,
    .sql = "WITH gone AS (DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log "
           "WHERE at < now() - $1::int * interval '1 day' ORDER BY at LIMIT 500) RETURNING 1) "
           "SELECT count(*) FROM gone",
};

static const struct pg_statement sql_erase = {
    .name = "audit_erase",
    .idempotent = true,
    .sql = "WITH changed AS (UPDATE audit_log SET user_id = $2, job_id = NULL, address = NULL, "
           "request_id = NULL, detail = NULL WHERE id IN (SELECT id FROM audit_log "
           "WHERE user_id = $1 LIMIT 1000) RETURNING 1) SELECT count(*) FROM changed",
};

/* What came between, or was left when the database went away amid forgetting. */
/* clang-format off */
static const struct pg_statement sql_erase_rest = {
    .name = "audit_erase_rest",
    .idempotent = true,
    .sql = "WITH gone AS (SELECT DISTINCT user_id, " STORE_MARK("user_id") " AS mark "
           "FROM token_revocations r WHERE NOT EXISTS (SELECT FROM user_sessions s "
           "WHERE s.user_id = r.user_id)), left_over AS (SELECT l.id, g.mark FROM gone g "
           "CROSS JOIN LATERAL (SELECT id FROM audit_log a WHERE a.user_id = g.user_id) l "
           "WHERE EXISTS (SELECT FROM audit_log a WHERE a.user_id = g.mark "
           "AND a.event = 'user_forgotten') LIMIT 500), changed AS (UPDATE audit_log a SET "
           "user_id = l.mark, job_id = NULL, address = NULL, request_id = NULL, detail = NULL "
           "FROM left_over l WHERE a.id = l.id RETURNING 1) SELECT count(*) FROM changed",
};
/* clang-format on */

struct audit_row {
    char *texts[COLUMNS];
    struct audit_row *next, **at; /* in store->audit_rows; what points to this one */
};

static void row_free(struct audit_row *row)
{
    *row->at = row->next;
    if (row->next)
        row->next->at = row->at;
    for (int i = 0; i < COLUMNS; i++)
        free(row->texts[i]);
    free(row);
}

static void encode(void *arg, void *const *items, size_t count, struct buf *params)
{
    (void)arg;
    for (int i = 0; i < COLUMNS; i++) {
        pg_array_begin(&params[i]);
        for (size_t k = 0; k < count; k++) {
            const char *text = ((const struct audit_row *)items[k])->texts[i];
            if (text)
                pg_array_add(&params[i], text, strlen(text));
            else
                pg_array_add_null(&params[i]);
        }
        pg_array_end(&params[i]);
    }
}

static void on_added(void *arg, void *const *items, size_t count, enum err error,
                     const struct pg_rows *rows)
{
    (void)arg;
    (void)rows;
    if (error)
        log_error("audit_not_kept", LOG_I("count", count), LOG_S("error", err_name(error)));
    for (size_t i = 0; i < count; i++)
        row_free(items[i]);
}

void store_audit_init(struct store *store)
{
    store->audit = pg_group_new(&(struct pg_group_options){.pg = store->pg,
                                                           .first_connection = 1,
                                                           .writers = 1,
                                                           .batch_max = BATCH_MAX,
                                                           .waiting_max = WAITING_MAX,
                                                           .statement = &sql_add,
                                                           .params = COLUMNS,
                                                           .timeout_ms = TIMEOUT_MS,
                                                           .encode = encode,
                                                           .done = on_added,
                                                           .arg = store});
}

void store_audit_fini(struct store *store)
{
    pg_group_destroy(&store->audit);
    while (store->audit_rows)
        row_free(store->audit_rows);
}

void store_audit_add(struct store *store, const struct store_audit *audit)
{
    const char *const texts[COLUMNS] = {audit->event,  audit->outcome, audit->user_id,
                                        audit->job_id, audit->address, audit->request_id,
                                        audit->detail};
    struct audit_row *row = mem_alloc(sizeof(*row));
    *row = (struct audit_row){.next = store->audit_rows, .at = &store->audit_rows};
    if (row->next)
        row->next->at = &row->next;
    store->audit_rows = row;
    for (int i = 0; i < COLUMNS; i++)
        row->texts[i] = mem_strdup_opt(texts[i]);
    if (pg_group_add(store->audit, row) == ERR_OK)
        return;
    log_error("audit_not_kept", LOG_I("count", 1), LOG_S("error", err_name(ERR_OVERLOADED)));
    row_free(row);
}

size_t store_audit_pending(const struct store *store)
{
    return pg_group_pending(store->audit);
}

struct counting {
    store_value_fn *done;
    void *arg;
};

static void on_count(void *arg, enum err err, const struct pg_rows *rows)
{
    AUTOFREE struct counting *counting = arg;
    counting->done(counting->arg, err, err ? 0 : pg_rows_int(rows, 0, 0, 0));
}

static void exec(struct store *store, const char *reason, const struct pg_statement *statement,
                 const char *const *values, int count, store_value_fn *done, void *arg)
{
    struct counting *counting = mem_alloc(sizeof(*counting));
    *counting = (struct counting){done, arg};
    pg_exec_scoped(store->pg, &sql_reason, reason, statement, TIMEOUT_MS, values, count, on_count,
                   counting);
}

void store_audit_clean(struct store *store, int64_t days, store_value_fn *done, void *arg)
{
    char number[NUMBER_SIZE];
    snprintf(number, sizeof(number), "%" PRId64, days);
    const char *const values[] = {number};
    exec(store, "sweep", &sql_clean, values, 1, done, arg);
}

void store_audit_erase(struct store *store, const char *user_id, const char *mark,
                       store_value_fn *done, void *arg)
{
    const char *const values[] = {user_id, mark};
    exec(store, "forget", &sql_erase, values, 2, done, arg);
}

void store_audit_erase_rest(struct store *store, store_value_fn *done, void *arg)
{
    exec(store, "forget", &sql_erase_rest, NULL, 0, done, arg);
}
