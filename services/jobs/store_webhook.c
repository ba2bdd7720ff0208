#include "services/jobs/store_webhook.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/jobs/store_internal.h"

/* clang-format off */
static const struct pg_statement take_statement = {
    "webhooks_take",
    "WITH due AS MATERIALIZED ("
    " SELECT id FROM (SELECT id, due_at,"
    "   row_number() OVER (PARTITION BY host ORDER BY due_at, id) AS of_host,"
    "   row_number() OVER (PARTITION BY user_id ORDER BY due_at, id) AS of_user"
    "  FROM (SELECT id, host, user_id, due_at FROM job_webhooks WHERE due_at <= now()"
    "   AND host <> ALL ($1::text[]) AND user_id <> ALL ($2::text[])"
    "   ORDER BY due_at LIMIT 500) s) n"
    " WHERE of_host <= $4::int AND of_user <= $5::int ORDER BY due_at LIMIT $3::int"
    "), free AS MATERIALIZED ("
    " SELECT id FROM job_webhooks WHERE id = ANY (ARRAY (SELECT id FROM due)) AND due_at <= now()"
    " ORDER BY id FOR UPDATE SKIP LOCKED"
    "), taken AS ("
    " UPDATE job_webhooks SET due_at = now() + $6::int * interval '1 millisecond',"
    "  attempts = attempts + 1 WHERE id = ANY (ARRAY (SELECT id FROM free)) RETURNING *"
    ") SELECT t.id, t.type, t.host, t.url, " STORE_TIME("t.created_at") ", t.attempts,"
    " (extract(epoch FROM now() - t.created_at) * 1000)::bigint,"
    " j.id IS NULL OR (t.type = 'job.waiting_approval' AND NOT EXISTS (SELECT FROM job_queue q"
    "  WHERE q.job_id = t.job_id AND q.state = 2 AND q.events = t.seq)),"
    " j.id, j.user_id, j.status, j.error_message, j.token_usage, " STORE_TIME("j.created_at") ", "
    STORE_TIME("j.updated_at") ", " STORE_TIME("j.completed_at") ","
    " left(j.message, $7::int), left(j.result, $7::int), j.conversation_id, j.waiting_approval,"
    " length(j.message) > $7::int OR length(coalesce(j.result, '')) > $7::int"
    " FROM taken t LEFT JOIN LATERAL (SELECT * FROM job_records r WHERE r.id = t.job_id OFFSET 0) j"
    " ON true ORDER BY t.created_at, t.id",
    false};

static const struct pg_statement settle_statement = {
    "webhooks_settle",
    "WITH input AS MATERIALIZED ("
    " SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[]) AS i (id, attempts, wait_ms)"
    "), locked AS MATERIALIZED ("
    " SELECT i.* FROM input i JOIN job_webhooks w ON w.id = i.id AND w.attempts = i.attempts"
    " ORDER BY w.id FOR UPDATE OF w"
    "), later AS ("
    " UPDATE job_webhooks w SET due_at = now() + l.wait_ms * interval '1 millisecond'"
    " FROM locked l WHERE w.id = l.id AND l.wait_ms >= 0"
    ") DELETE FROM job_webhooks"
    " WHERE id = ANY (ARRAY (SELECT id FROM locked WHERE wait_ms < 0))",
    true};

static const struct pg_statement expire_statement = {
    "webhooks_expire",
    "WITH gone AS (DELETE FROM job_webhooks WHERE id = ANY (ARRAY (SELECT id FROM job_webhooks"
    " WHERE due_at < now() - interval '1 day 1 hour' ORDER BY due_at LIMIT 1000)) RETURNING 1)"
    " SELECT count(*) FROM gone",
    true};
/* clang-format on */

struct take_call {
    store_webhooks_fn *done;
    void *arg;
};

static void read_webhook(const struct pg_rows *rows, size_t row, struct store_webhook *ret_webhook)
{
    *ret_webhook = (struct store_webhook){
        .id = pg_rows_text(rows, row, 0),
        .type = pg_rows_text(rows, row, 1),
        .host = pg_rows_text(rows, row, 2),
        .url = pg_rows_text(rows, row, 3),
        .created_at = pg_rows_text(rows, row, 4),
        .attempts = pg_rows_int(rows, row, 5, 1),
        .age_ms = pg_rows_int(rows, row, 6, 0),
        .stale = pg_rows_bool(rows, row, 7),
        .job =
            {
                .job_id = pg_rows_text(rows, row, 8),
                .user_id = pg_rows_text(rows, row, 9),
                .status = pg_rows_text(rows, row, 10),
                .error_message = pg_rows_text(rows, row, 11),
                .token_usage = pg_rows_text(rows, row, 12),
                .created_at = pg_rows_text(rows, row, 13),
                .updated_at = pg_rows_text(rows, row, 14),
                .completed_at = pg_rows_text(rows, row, 15),
                .message = pg_rows_text(rows, row, 16),
                .result = pg_rows_text(rows, row, 17),
                .conversation_id = pg_rows_text(rows, row, 18),
                .waiting_approval = pg_rows_text(rows, row, 19),
                .cut = pg_rows_bool(rows, row, 20),
            },
    };
}

static void on_taken(void *arg, enum err error, const struct pg_rows *rows)
{
    struct take_call *call = arg;
    size_t count = error ? 0 : pg_rows_count(rows);
    AUTOFREE struct store_webhook *webhooks = mem_alloc((count + 1) * sizeof *webhooks);
    for (size_t row = 0; row < count; row++)
        read_webhook(rows, row, &webhooks[row]);
    call->done(call->arg, error, webhooks, count);
    free(call);
}

void store_webhooks_take(struct store *store, const struct store_webhook_take *take,
                         store_webhooks_fn *done, void *arg)
{
    struct take_call *call = mem_alloc(sizeof *call);
    *call = (struct take_call){done, arg};
    char numbers[5][24];
    const int64_t is[] = {take->count, take->by_host, take->by_user, STORE_WEBHOOK_LEASE_MS,
                          STORE_WEBHOOK_TEXT};
    const char *values[7] = {take->hosts, take->users};
    for (int i = 0; i < 5; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%" PRId64, is[i]);
        values[i + 2] = numbers[i];
    }
    pg_exec(store->keeper, &take_statement, -1, STORE_READ_MS, values, 7, on_taken, call);
}

/* SETTLE */

static void encode(void *arg, void *const *items, size_t count, struct buf *params)
{
    (void)arg;
    store_begin(params, 3);
    for (size_t i = 0; i < count; i++) {
        const struct store_webhook_settle *item = items[i];
        store_add(&params[0], item->id);
        pg_array_add_int(&params[1], item->attempts);
        pg_array_add_int(&params[2], item->wait_ms);
    }
    store_end(params, 3);
}

static void on_settled(void *arg, void *const *items, size_t count, enum err error,
                       const struct pg_rows *rows)
{
    (void)arg, (void)error, (void)rows;
    for (size_t i = 0; i < count; i++) {
        struct store_webhook_settle *item = items[i];
        item->done(item);
    }
}

void store_webhook_init(struct store *store)
{
    store->settles = store_group(store, &(struct store_batch){.statement = &settle_statement,
                                                              .params = 3,
                                                              .pg = store->keeper,
                                                              .encode = encode,
                                                              .done = on_settled});
}

enum err store_webhook_settle(struct store *store, struct store_webhook_settle *item)
{
    return pg_group_add(store->settles, item);
}

struct expire_call {
    store_webhooks_expired_fn *done;
    void *arg;
};

static void on_expired(void *arg, enum err error, const struct pg_rows *rows)
{
    struct expire_call *call = arg;
    call->done(call->arg, error, rows ? pg_rows_int(rows, 0, 0, 0) : 0);
    free(call);
}

void store_webhooks_expire(struct store *store, store_webhooks_expired_fn *done, void *arg)
{
    struct expire_call *call = mem_alloc(sizeof *call);
    *call = (struct expire_call){done, arg};
    pg_exec(store->keeper, &expire_statement, -1, STORE_WRITE_MS, NULL, 0, on_expired, call);
}
