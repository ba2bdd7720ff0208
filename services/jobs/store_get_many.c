/* Jobs by their ids, many in one statement. */
#include <string.h>

#include "libcommon/mem.h"
#include "services/jobs/store_internal.h"

/* clang-format off */
static const struct pg_statement own_statement = {
    "own_of_many", "SELECT set_config('mcpbus.users', $1, true)", true};

/* LATERAL with OFFSET 0: each job is looked up by its id, however the planner thinks of the tables.
 * Sizes come from the rows' headers: what is cut is not read. */
static const struct pg_statement get_many_statement = {
    "get_many",
    "SELECT n, id, user_id, status, error_message, token_usage, created, updated, completed, cut,"
    " CASE WHEN NOT cut THEN message END, CASE WHEN NOT cut THEN result END,"
    " conversation_id, CASE WHEN NOT cut THEN waiting_approval END FROM ("
    " SELECT i.n, j.*, i.n > 1 AND"
    "  sum(octet_length(j.message) + coalesce(octet_length(j.result), 0) + 1000"
    "   + coalesce(octet_length(j.waiting_approval::text), 0))"
    "  OVER (ORDER BY i.n) > 500000 AS cut"
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS i (id, user_id, n)"
    " CROSS JOIN LATERAL (SELECT id, user_id, status, error_message, token_usage, "
    STORE_TIME("created_at") " AS created, " STORE_TIME("updated_at") " AS updated, "
    STORE_TIME("completed_at") " AS completed, message, result, conversation_id,"
    " waiting_approval FROM own_jobs_of_many r"
    " WHERE r.id = i.id AND r.user_id || '' = i.user_id OFFSET 0) j) k ORDER BY n",
    true};
/* clang-format on */

struct jobs_call {
    store_jobs_fn *done;
    void *arg;
};

static void read_job(const struct pg_rows *rows, size_t row, struct store_job *ret_job)
{
    *ret_job = (struct store_job){
        .index = (size_t)pg_rows_int(rows, row, 0, 1) - 1,
        .job_id = pg_rows_text(rows, row, 1),
        .user_id = pg_rows_text(rows, row, 2),
        .status = pg_rows_text(rows, row, 3),
        .error_message = pg_rows_text(rows, row, 4),
        .token_usage = pg_rows_text(rows, row, 5),
        .created_at = pg_rows_text(rows, row, 6),
        .updated_at = pg_rows_text(rows, row, 7),
        .completed_at = pg_rows_text(rows, row, 8),
        .cut = pg_rows_bool(rows, row, 9),
        .message = pg_rows_text(rows, row, 10),
        .result = pg_rows_text(rows, row, 11),
        .conversation_id = pg_rows_text(rows, row, 12),
        .waiting_approval = pg_rows_text(rows, row, 13),
    };
}

static void on_rows(void *arg, enum err error, const struct pg_rows *rows)
{
    struct jobs_call *call = arg;
    size_t count = error ? 0 : pg_rows_count(rows);
    AUTOFREE struct store_job *jobs = mem_alloc((count + 1) * sizeof *jobs);
    for (size_t row = 0; row < count; row++)
        read_job(rows, row, &jobs[row]);
    call->done(call->arg, error, jobs, count);
    free(call);
}

void store_get_many(struct store *store, const char *const *ids, const char *const *users,
                    size_t count, int64_t timeout_ms, store_jobs_fn *done, void *arg)
{
    struct jobs_call *call = mem_alloc(sizeof *call);
    *call = (struct jobs_call){done, arg};
    struct buf params[2];
    buf_init(&params[0], 1 << 20);
    buf_init(&params[1], 1 << 20);
    store_begin(params, 2);
    for (size_t i = 0; i < count; i++) {
        store_add(&params[0], ids[i]);
        store_add(&params[1], users[i]);
    }
    store_end(params, 2);
    const char *values[] = {buf_text(&params[0]), buf_text(&params[1])};
    pg_exec_scoped(store->reader, &own_statement, values[1], &get_many_statement, timeout_ms,
                   values, 2, on_rows, call);
    buf_fini(&params[0]);
    buf_fini(&params[1]);
}
