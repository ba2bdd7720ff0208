/* What changes without its worker: CANCEL, REAP and BURY; and how much there is. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/jobs/store_stats.h"

/* Of the jobs that a statement has ended, a row of their own (store_stats_ends_json). */
#define ENDED_RETURNING " RETURNING " STORE_TIMES_OF_END ", d.token_usage AS usage"
#define ENDED_TALLY                                                                                  \
    " UNION ALL SELECT NULL, json_agg(json_build_array(run, total, usage))::text, NULL, NULL, NULL," \
    " NULL"

static const struct pg_statement cancel_statement = {
    "cancel",
    "WITH gone AS ("
    " DELETE FROM job_queue WHERE job_id = $1 AND user_id = $2"
    " RETURNING job_id, user_id, session, attempt, events, first_started_at"
    "), ended AS ("
    " UPDATE job_data d SET status = 'cancelled', attempts = g.attempt, events = g.events + 1,"
    "  token_usage = job_usage(d.id, d.token_usage),"
    "  started_at = g.first_started_at, completed_at = now(), updated_at = now()"
    " FROM gone g WHERE d.id = g.job_id" ENDED_RETURNING
    ") SELECT g.job_id, g.user_id, g.attempt, false, true, w.instance"
    " FROM gone g LEFT JOIN worker_sessions w ON w.session = g.session" ENDED_TALLY
    " FROM ended HAVING count(*) > 0",
    true};

/* A second is added to the lease here, for a renewal that began just before the lease ran out. The
 * sample is all of the table (see SCAN); what was found is then looked up by its ids. Locked is
 * only the very attempt that was seen: the walk takes a while, and a session that opened in the
 * meantime would be taken for none when PostgreSQL looks at a changed row again. */
static const struct pg_statement reap_statement = {
    "reap",
    "WITH seen AS MATERIALIZED ("
    " SELECT q.job_id, q.attempt FROM job_queue q TABLESAMPLE SYSTEM (100)"
    " WHERE (q.state = 1 AND (q.deadline + interval '30 seconds' < now()"
    "  OR NOT EXISTS (SELECT FROM worker_sessions w WHERE w.session = q.session"
    "   AND w.lease_until > now() - interval '1 second')))"
    "  OR (q.state = 2 AND q.deadline < now())"
    " ORDER BY q.job_id LIMIT 1000"
    "), locked AS MATERIALIZED ("
    " SELECT q.job_id, q.user_id, q.session, q.attempt, q.events, q.first_started_at,"
    "  CASE WHEN q.state = 2 THEN 'unanswered'"
    "   WHEN q.deadline + interval '30 seconds' < now() THEN 'late'"
    "   WHEN q.losses + 1 >= $1::int THEN 'lost' ELSE 'again' END AS fate"
    " FROM seen s JOIN job_queue q ON q.job_id = s.job_id AND q.attempt = s.attempt"
    " WHERE q.state = 1 OR (q.state = 2 AND q.deadline < now())"
    " ORDER BY q.job_id FOR UPDATE OF q SKIP LOCKED"
    "), back AS ("
    " UPDATE job_queue q SET state = 0, session = NULL, deadline = NULL, run_at = now(),"
    "  losses = q.losses + 1"
    " WHERE q.job_id = ANY (ARRAY (SELECT job_id FROM locked WHERE fate = 'again'))"
    "), gone AS ("
    " DELETE FROM job_queue"
    " WHERE job_id = ANY (ARRAY (SELECT job_id FROM locked WHERE fate <> 'again'))"
    "), ended AS ("
    " UPDATE job_data d SET status = 'failed', attempts = l.attempt, events = l.events + 1,"
    "  started_at = l.first_started_at, completed_at = now(), updated_at = now(),"
    "  token_usage = job_usage(d.id, d.token_usage),"
    "  error_message = CASE l.fate WHEN 'late' THEN 'The job timed out.'"
    "   WHEN 'unanswered' THEN 'Nobody approved or denied the tool calls in time.'"
    "   ELSE 'The job was given up: the worker that ran it was lost ' || $1 || ' times.' END"
    " FROM locked l WHERE d.id = l.job_id"
    "  AND d.id = ANY (ARRAY (SELECT job_id FROM locked WHERE fate <> 'again'))" ENDED_RETURNING
    ") SELECT l.job_id, l.user_id, l.attempt, l.fate = 'again', l.fate <> 'again', w.instance, l.fate"
    " FROM locked l LEFT JOIN worker_sessions w ON w.session = l.session" ENDED_TALLY
    ", NULL FROM ended HAVING count(*) > 0",
    true};

/* As SCAN and REAP do: a walk through the pages. */
static const struct pg_statement counts_statement = {
    "counts",
    "SELECT count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1)"
    " FROM job_queue TABLESAMPLE SYSTEM (100)",
    true};

static void tally_ends(struct store *store, const struct pg_rows *rows, size_t row)
{
    store_stats_ends_json(store, pg_rows_text(rows, row, 1), pg_rows_len(rows, row, 1));
}

static void tally_cancel(struct store *store, const struct pg_rows *rows)
{
    for (size_t row = 0; row < pg_rows_count(rows); row++)
        if (pg_rows_text(rows, row, 0))
            store_stats_now(store)->cancelled++;
        else
            tally_ends(store, rows, row);
}

static void tally_reap(struct store *store, const struct pg_rows *rows)
{
    for (size_t row = 0; row < pg_rows_count(rows); row++) {
        const char *fate = pg_rows_text(rows, row, 6);
        if (!fate) {
            tally_ends(store, rows, row);
            continue;
        }
        struct stats *stats = store_stats_now(store);
        stats->lost += !strcmp(fate, "again") || !strcmp(fate, "lost");
        stats->failed += strcmp(fate, "again") != 0;
    }
}

void store_cancel(struct store *store, const char *job_id, const char *user_id,
                  store_changes_fn *done, void *arg)
{
    const char *values[] = {job_id, user_id};
    store_exec_changes(store, store->writers, &cancel_statement, values, 2, tally_cancel, done,
                       arg);
}

void store_reap(struct store *store, store_changes_fn *done, void *arg)
{
    char losses[16];
    snprintf(losses, sizeof losses, "%d", STORE_LOSSES_MAX);
    const char *values[] = {losses};
    store_exec_changes(store, store->scanner, &reap_statement, values, 1, tally_reap, done, arg);
}

struct ping_call {
    store_done_fn *done;
    void *arg;
};

static void on_ping(void *arg, enum err error, const struct pg_rows *rows)
{
    struct ping_call *call = arg;
    (void)rows;
    call->done(call->arg, error);
    free(call);
}

void store_ping(struct store *store, store_done_fn *done, void *arg)
{
    static const struct pg_statement ping = {"ping", "SELECT 1", false};
    struct ping_call *call = mem_alloc(sizeof *call);
    *call = (struct ping_call){done, arg};
    pg_exec(store->writers, &ping, -1, STORE_WRITE_MS, NULL, 0, on_ping, call);
}

struct count_call {
    store_count_fn *done;
    void *arg;
};

static void on_count(void *arg, enum err error, const struct pg_rows *rows)
{
    struct count_call *call = arg;
    call->done(call->arg, error, rows ? pg_rows_int(rows, 0, 0, 0) : 0,
               rows ? pg_rows_int(rows, 0, 1, 0) : 0);
    free(call);
}

void store_counts(struct store *store, store_count_fn *done, void *arg)
{
    struct count_call *call = mem_alloc(sizeof *call);
    *call = (struct count_call){done, arg};
    pg_exec(store->scanner, &counts_statement, -1, STORE_WRITE_MS, NULL, 0, on_count, call);
}
