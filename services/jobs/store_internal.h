/* What the store*.c files share. */
#ifndef MCPBUS_JOBS_STORE_INTERNAL_H
#define MCPBUS_JOBS_STORE_INTERNAL_H

#include "libcommon/pg.h"
#include "services/jobs/store.h"

enum { STORE_SUBMITTERS = 2, STORE_WRITERS = 2, STORE_WRITE_MS = 25000, STORE_READ_MS = 10000 };

struct store {
    struct loop *loop;
    /* scanner: walks through the queue, which take a while when it is long. keeper: counts of what
     * is kept, lists of what waits or runs (a walk too, but as often as users ask), and deletions,
     * which may have to wait for another's locks. */
    struct pg *writers, *reader, *scanner, *keeper;
    struct pg_group *submits, *submits_more, *claims, *appends, *finishes, *parks, *renewals,
        *settles;
    char job_timeout[24], max_attempts[24], approval_timeout[24];
    int64_t job_timeout_ms;
    struct store_stats *stats; /* store_stats.c */
    char *counting;            /* the user whose jobs are being counted; NULL: nobody's */
    int64_t count_next;
};

/* A time on the wire. */
#define STORE_TIME(t) "to_char(" t " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

/* What passed between two times, for the statistics; a clock that was put back makes it 0. */
#define STORE_MICROSECONDS(from, to) \
    "greatest(0, (date_part('epoch', " to " - " from ") * 1000000)::bigint)"
/* Of a row of job_data that has just ended: from its first start (-1: it had none), and in all. */
#define STORE_TIMES_OF_END                                                          \
    "CASE WHEN d.started_at IS NULL THEN -1 ELSE " STORE_MICROSECONDS(              \
        "d.started_at", "now()") " END AS run, " STORE_MICROSECONDS("d.created_at", \
                                                                    "now()") " AS total"

/* Of job_records, as a job is read. */
#define STORE_JOB_COLUMNS                                                                         \
    "id, user_id, status, error_message, token_usage, " STORE_TIME("created_at") ", " STORE_TIME( \
        "updated_at") ", " STORE_TIME("completed_at") ", conversation_id, waiting_approval"

/* What a user reads. The statement names the own_… views alone (migrations/0008_own.sql), which
 * show nothing but this user's rows, whatever condition it lacks. */
void store_read_own(struct pg *pg, const char *user_id, const struct pg_statement *statement,
                    int64_t timeout_ms, const char *const *values, int count, pg_done_fn *done,
                    void *arg);

/* Parameters: limit, offset. Columns: a job's, message, result, total, behind, ahead. */
const struct pg_statement *store_list_statement(const char *status);
/* The same with a third parameter: the conversation. */
const struct pg_statement *store_list_conversation_statement(void);
/* Where the list is read: one that takes a walk through the queue delays no other read. */
struct pg *store_list_connection(const struct store *store, const char *status);
/* Counts on in the background when a list had to count many jobs itself. */
void store_list_counted(struct store *store, const char *user_id, int64_t behind, bool ahead);

/* Makes the groups of each file. */
void store_submit_init(struct store *store);
void store_claim_init(struct store *store);
void store_append_init(struct store *store);
void store_finish_init(struct store *store);
void store_park_init(struct store *store);
void store_renew_init(struct store *store);
void store_webhook_init(struct store *store);

/* A statement that is a batch. Submits have connections of their own: in a pipeline they would wait
 * behind the ends of runs, and people for them. */
struct store_batch {
    const struct pg_statement *statement, *careful; /* as in pg_group_options */
    int params;
    bool submits;
    struct pg *pg; /* NULL: the writers */
    void (*encode)(void *store, void *const *items, size_t count, struct buf *params);
    void (*done)(void *store, void *const *items, size_t count, enum err error,
                 const struct pg_rows *rows);
};
struct pg_group *store_group(struct store *store, const struct store_batch *batch);

void store_add(struct buf *array, const char *text); /* NULL: SQL's NULL */
void store_begin(struct buf *params, int count);
void store_end(struct buf *params, int count);
void store_copy(char *to, size_t size, const char *text); /* NULL: "" */

/* Items sorted by id: rows are locked in this order, and the item of a row is found. store_find
 * gives the first index with this id, and -1 when there is none. Every item of a store begins with
 * its id's place told by `id_of`. */
typedef const char *store_id_fn(const void *item);
void **store_sorted(void *const *items, size_t count, store_id_fn *id_of); /* free() it */
ptrdiff_t store_find(void *const *items, size_t count, store_id_fn *id_of, const char *id);

/* For statements whose rows are changes: job_id, user_id, attempt, queued, ended, instance. */
/* A row without a job_id is none: `tally` (may be NULL) sees them all, for the statistics. */
typedef void store_tally_fn(struct store *store, const struct pg_rows *rows);
void store_exec_changes(struct store *store, struct pg *pg, const struct pg_statement *statement,
                        const char *const *values, int count, store_tally_fn *tally,
                        store_changes_fn *done, void *arg);

#endif
