/* What goes: a user's jobs on FORGET, and what is older than it may be, in small batches. */
#include <inttypes.h>
#include <stdio.h>

#include "libcommon/mem.h"
#include "services/jobs/store_stats.h"

/* clang-format off */
static const struct pg_statement forget_statement = {
    "forget",
    "WITH ids AS MATERIALIZED ("
    " SELECT id FROM (SELECT id, sum(events) OVER (ORDER BY created_at DESC, id DESC) - events AS n"
    "  FROM (SELECT id, events, created_at FROM job_data WHERE user_id = $1"
    "   ORDER BY created_at DESC, id DESC LIMIT 1000) d) s WHERE n < 20000"
    "), gone AS ("
    " DELETE FROM job_queue WHERE job_id = ANY (ARRAY (SELECT id FROM ids))"
    " RETURNING job_id, session, attempt"
    "), events AS ("
    " DELETE FROM job_events WHERE job_id = ANY (ARRAY (SELECT id FROM ids))"
    "), keys AS ("
    " DELETE FROM job_idempotency WHERE user_id = $1"
    "), jobs AS ("
    " DELETE FROM job_data WHERE id = ANY (ARRAY (SELECT id FROM ids))"
    "), total AS ("
    " DELETE FROM job_totals WHERE user_id = $1 AND NOT EXISTS (SELECT FROM ids)"
    ") SELECT i.id, $1, g.attempt, false, true, w.instance"
    " FROM ids i LEFT JOIN gone g ON g.job_id = i.id"
    " LEFT JOIN worker_sessions w ON w.session = g.session",
    true};

/* A batch of the sweep, when it is due and no other replica is at it: from its place on, through
 * some users and the oldest jobs of each, so that no index beyond that of the lists is needed, and
 * what was deleted but not yet vacuumed isn't walked through again. A job of the original may say
 * that it has ended and wait all the same. At the end of a pass the place is the beginning. */
static const struct pg_statement sweep_statement = {
    "sweep",
    "WITH RECURSIVE turn AS MATERIALIZED ("
    " SELECT place_user, place_at FROM job_upkeep WHERE task = 'sweep' AND next_at <= now()"
    " FOR UPDATE SKIP LOCKED"
    "), users (user_id, n) AS ("
    " (SELECT d.user_id, 1 FROM turn t CROSS JOIN LATERAL (SELECT user_id FROM job_data"
    "   WHERE user_id >= t.place_user ORDER BY user_id LIMIT 1) d WHERE $1::int > 0)"
    " UNION ALL"
    " SELECT d.user_id, u.n + 1 FROM users u CROSS JOIN LATERAL (SELECT user_id FROM job_data"
    "  WHERE user_id > u.user_id ORDER BY user_id LIMIT 1) d WHERE u.n < $4::int"
    "), found AS MATERIALIZED ("
    " SELECT o.* FROM turn t CROSS JOIN users u CROSS JOIN LATERAL ("
    "  SELECT id, user_id, created_at, events FROM job_data"
    "  WHERE user_id = u.user_id AND created_at < now() - $1::int * interval '1 day'"
    "   AND created_at >= CASE u.user_id WHEN t.place_user THEN t.place_at ELSE '-infinity' END"
    "   AND completed_at < now() - $1::int * interval '1 day'"
    "   AND NOT EXISTS (SELECT FROM job_queue WHERE job_id = id)"
    "  ORDER BY created_at, id LIMIT $3::int) o LIMIT $3::int"
    "), old AS MATERIALIZED ("
    " SELECT * FROM (SELECT f.*, sum(events) OVER (ORDER BY user_id, created_at, id) - events"
    "  AS n FROM found f) s WHERE n < 20 * $3::int"
    "), events AS ("
    " DELETE FROM job_events WHERE job_id = ANY (ARRAY (SELECT id FROM old))"
    "), jobs AS ("
    " DELETE FROM job_data WHERE id = ANY (ARRAY (SELECT id FROM old)) RETURNING 1"
    "), keys AS ("
    " DELETE FROM job_idempotency WHERE ctid = ANY (ARRAY (SELECT ctid FROM job_idempotency"
    "  WHERE created_at < now() - interval '1 day' AND EXISTS (SELECT FROM turn)"
    "  ORDER BY created_at LIMIT $3::int)) RETURNING 1"
    "), sessions AS ("
    " DELETE FROM worker_sessions WHERE lease_until < now() - interval '1 day'"
    "  AND EXISTS (SELECT FROM turn) RETURNING 1"
    "), state AS MATERIALIZED ("
    " SELECT (SELECT max(user_id) FROM users) AS last_user,"
    "  (SELECT max(user_id) FROM old) AS old_user,"
    "  (SELECT count(*) FROM found) = $3::int"
    "   OR (SELECT count(*) FROM found) > (SELECT count(*) FROM old) AS full,"
    "  (SELECT count(*) FROM users) = $4::int AS more_users,"
    "  (SELECT count(*) FROM keys) = $3::int AS more_keys"
    "), next AS ("
    " UPDATE job_upkeep SET"
    "  place_user = CASE WHEN s.full THEN s.old_user WHEN s.more_users THEN s.last_user ELSE ''"
    "   END,"
    "  place_at = CASE WHEN s.full THEN (SELECT max(created_at) FROM old"
    "   WHERE user_id = s.old_user) ELSE '-infinity' END,"
    "  next_at = now() + CASE WHEN s.full OR s.more_users OR s.more_keys"
    "   THEN $2::int * interval '1 millisecond' ELSE interval '10 minutes' END"
    " FROM state s WHERE task = 'sweep' AND EXISTS (SELECT FROM turn) RETURNING next_at"
    ") SELECT (SELECT count(*) FROM jobs),"
    " (SELECT count(*) FROM keys) + (SELECT count(*) FROM sessions),"
    " ceil(extract(epoch FROM coalesce((SELECT next_at FROM next),"
    "  (SELECT next_at FROM job_upkeep WHERE task = 'sweep')) - clock_timestamp())"
    "  * 1000)::bigint",
    true};
/* clang-format on */

/* Those that had not ended are cancelled. */
static void tally(struct store *store, const struct pg_rows *rows)
{
    for (size_t row = 0; row < pg_rows_count(rows); row++)
        if (pg_rows_text(rows, row, 2))
            store_stats_now(store)->cancelled++;
}

void store_forget(struct store *store, const char *user_id, store_changes_fn *done, void *arg)
{
    const char *values[] = {user_id};
    store_exec_changes(store, store->keeper, &forget_statement, values, 1, tally, done, arg);
}

struct sweep_call {
    store_swept_fn *done;
    void *arg;
};

static void on_swept(void *arg, enum err error, const struct pg_rows *rows)
{
    struct sweep_call *call = arg;
    struct store_swept swept = {0};
    if (!error)
        swept = (struct store_swept){
            .jobs = pg_rows_int(rows, 0, 0, 0),
            .others = pg_rows_int(rows, 0, 1, 0),
            .wait_ms = pg_rows_int(rows, 0, 2, 0),
        };
    call->done(call->arg, error, &swept);
    free(call);
}

void store_sweep(struct store *store, int64_t days, int64_t pause_ms, store_swept_fn *done,
                 void *arg)
{
    struct sweep_call *call = mem_alloc(sizeof *call);
    *call = (struct sweep_call){done, arg};
    char numbers[4][24];
    const int64_t is[] = {days, pause_ms, STORE_SWEEP_JOBS, STORE_SWEEP_USERS};
    const char *values[4];
    for (int i = 0; i < 4; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%" PRId64, is[i]);
        values[i] = numbers[i];
    }
    pg_exec(store->keeper, &sweep_statement, -1, STORE_WRITE_MS, values, 4, on_swept, call);
}
