/* Lists and totals: the cost of a page doesn't grow with the number of jobs kept. */
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/jobs/store_internal.h"

/* Users are counted on one after another, with a pause for the others' sake. */
enum { BEHIND_MAX = 500, ADVANCE_PAUSE_MS = 20, ADVANCE_MS = 30000 };

/* clang-format off */
/* First a page of ids, by an index alone, then the rows of those. OFFSET 0 keeps the row's look-up
 * one by id: a join may be planned as a walk through both tables. Always a row, for the total; the
 * job's columns are NULL when the page is empty. */
#define PAGE "ORDER BY created_at DESC, id DESC LIMIT $1::bigint OFFSET $2::bigint"
#define LIST(source)                                                                               \
    "WITH page AS MATERIALIZED (" source "), total AS MATERIALIZED ("                              \
    " SELECT coalesce(t.n, 0) AS n, coalesce(t.up_to > now(), false) AS ahead,"                    \
    "  (SELECT count(*) FROM own_job_list"                                                         \
    "   WHERE created_at >= coalesce(t.up_to, '-infinity')) AS behind"                             \
    " FROM (SELECT 1) one LEFT JOIN own_job_totals t ON true"                                      \
    ") SELECT " STORE_JOB_COLUMNS ", left(j.message, 4097), left(j.result, 4097),"                 \
    " t.n + t.behind, t.behind, t.ahead"                                                           \
    " FROM total t LEFT JOIN (page p (page_id, page_at) CROSS JOIN LATERAL"                        \
    "  (SELECT * FROM own_jobs r WHERE r.id = p.page_id OFFSET 0) j) ON true"                      \
    " ORDER BY p.page_at DESC, p.page_id DESC"
#define OF_USER "SELECT id, created_at FROM own_job_list "
/* What has not ended is in the queue; what the queue says counts. (Its view is a sample of all: see
 * SCAN.) */
#define OF_QUEUE(state)                                                                            \
    "SELECT d.id, d.created_at FROM own_job_queue q CROSS JOIN LATERAL"                            \
    " (SELECT id, created_at FROM own_job_rows WHERE id = q.job_id OFFSET 0) d"                    \
    " WHERE q.state = " state " " PAGE
#define OF_MISHAPS(status)                                                                         \
    "SELECT m.id, m.created_at FROM own_job_mishaps m CROSS JOIN LATERAL"                          \
    " (SELECT status FROM own_job_rows WHERE id = m.id OFFSET 0) d"                                \
    " WHERE m.status = '" status "' AND d.status = m.status"                                       \
    " ORDER BY m.created_at DESC, m.id DESC LIMIT $1::bigint OFFSET $2::bigint"

static const struct list {
    const char *status;
    struct pg_statement statement;
} lists[] = {
    {"", {"list", LIST(OF_USER PAGE), true}},
    {"pending", {"list_pending", LIST(OF_QUEUE("0")), true}},
    {"running", {"list_running", LIST(OF_QUEUE("ANY ('{1,2}')")), true}},
    {"completed", {"list_completed", LIST(OF_USER "WHERE status = 'completed' " PAGE), true}},
    {"failed", {"list_failed", LIST(OF_MISHAPS("failed")), true}},
    {"cancelled", {"list_cancelled", LIST(OF_MISHAPS("cancelled")), true}},
};

/* The total is the conversation's here. */
static const struct pg_statement conversation_statement = {
    "list_conversation",
    "WITH page AS MATERIALIZED (SELECT id, created_at FROM own_conversations"
    " WHERE conversation_id = $3 " PAGE "), total AS MATERIALIZED ("
    " SELECT count(*) AS n FROM own_conversations WHERE conversation_id = $3"
    ") SELECT " STORE_JOB_COLUMNS ", left(j.message, 4097), left(j.result, 4097),"
    " t.n, 0, false"
    " FROM total t LEFT JOIN (page p (page_id, page_at) CROSS JOIN LATERAL"
    "  (SELECT * FROM own_jobs r WHERE r.id = p.page_id OFFSET 0) j) ON true"
    " ORDER BY p.page_at DESC, p.page_id DESC",
    true};
/* clang-format on */

static const struct pg_statement none_statement = {"list_none", LIST(OF_USER "WHERE false " PAGE),
                                                   true};

static const struct pg_statement advance_statement = {"totals_advance",
                                                      "SELECT job_totals_advance($1)", true};

const struct pg_statement *store_list_statement(const char *status)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (!strcmp(lists[i].status, status))
            return &lists[i].statement;
    return &none_statement;
}

const struct pg_statement *store_list_conversation_statement(void)
{
    return &conversation_statement;
}

struct pg *store_list_connection(const struct store *store, const char *status)
{
    bool walks = !strcmp(status, "pending") || !strcmp(status, "running");
    return walks ? store->keeper : store->reader;
}

static void advance(struct store *store);

static void on_advanced(void *arg, enum err error, const struct pg_rows *rows)
{
    struct store *store = arg;
    if (!error && pg_rows_bool(rows, 0, 0)) {
        advance(store);
        return;
    }
    free(store->counting);
    store->counting = NULL;
    store->count_next = loop_now(store->loop) + ADVANCE_PAUSE_MS;
}

static void advance(struct store *store)
{
    const char *values[] = {store->counting};
    pg_exec(store->keeper, &advance_statement, -1, ADVANCE_MS, values, 1, on_advanced, store);
}

void store_list_counted(struct store *store, const char *user_id, int64_t behind, bool ahead)
{
    if (store->counting || (behind <= BEHIND_MAX && !ahead) ||
        loop_now(store->loop) < store->count_next)
        return;
    store->counting = mem_strdup(user_id);
    advance(store);
}
