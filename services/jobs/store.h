/* The store: every statement that the jobs service knows, as batches over groups (writes) and
 * single statements (reads). Each transition of a job is a compare-and-set on its row; only the
 * database's clock decides. Rows are locked in the order of their ids. Loop's thread only.
 *
 * Texts in the items are borrowed until `done` is called, which happens once, later, from the loop.
 * Texts in outputs are borrowed for the length of `done`. `error` of every item: ERR_OK; what the
 * comment says; else what pg.h says of the whole batch. */
#ifndef MCPBUS_JOBS_STORE_H
#define MCPBUS_JOBS_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"
#include "libcommon/loop.h"
#include "services/jobs/origin.h"
#include "services/jobs/stats.h"

struct store;

enum {
    STORE_LEASE_MS = 10000,
    STORE_LOSSES_MAX = 20,
    STORE_TIME_SIZE = 28, /* RFC 3339 in UTC, six digits */
    STORE_ID_MAX = 128,
    STORE_USER_MAX = 256,
    STORE_CONVERSATION_MAX = 512,
    STORE_EVENTS_MAX = 10000, /* of a job */
};

struct store_options {
    struct loop *loop;
    const char *url;
    int64_t job_timeout_ms;
    int64_t max_attempts;
    int64_t approval_timeout_ms;
    bool allow_unsafe;
};

MUST_CHECK enum err store_new(const struct store_options *options, struct store **ret_store);
void store_destroy(struct store **store_p); /* no `done` for what waits in groups */
bool store_ready(const struct store *store);
const char *store_problem(const struct store *store); /* "" when ready */
size_t store_pending(const struct store *store);
/* Whether the database answers: an open socket alone doesn't tell. */
typedef void store_done_fn(void *arg, enum err error);
void store_ping(struct store *store, store_done_fn *done, void *arg);
/* The same by the connection of reads, which waits for no disk. */
void store_probe(struct store *store, store_done_fn *done, void *arg);

/* SUBMIT. With a session the job is claimed for it at once when that is alive. A job or key that is
 * there already gives that job's id in `existing` (ERR_OK), or ERR_CONFLICT when it is another's
 * or the hash differs. Adding: ERR_OVERLOADED. */
struct store_submit {
    const char *job_id, *user_id, *message;
    const char *key, *hash;                /* NULL: none */
    const char *session;                   /* NULL: queue it */
    const char *options, *conversation_id; /* JSON, a text; NULL: none */
    const char *callback_url;              /* who is told of its end; NULL: nobody */
    struct origin origin;
    void (*done)(struct store_submit *item);
    enum err error;
    bool claimed;
    char existing[STORE_ID_MAX + 1]; /* "" when this one was new */
    char created_at[STORE_TIME_SIZE];
};
MUST_CHECK enum err store_submit(struct store *store, struct store_submit *item);

/* CLAIM: ERR_NOT_FOUND when it is not queued, not due, or the session is dead. */
struct store_claim {
    char job_id[STORE_ID_MAX + 1];
    char session[STORE_ID_MAX + 1];
    void (*done)(struct store_claim *item);
    void *arg;
    enum err error;
    int64_t attempt, events;
    const char *user_id, *message, *created_at;
    const char *options, *conversation_id, *usage; /* as in struct store_run */
    struct origin origin;
};
MUST_CHECK enum err store_claim(struct store *store, struct store_claim *item);

/* APPEND: ERR_STALE_TOKEN; ERR_CONFLICT when `after` isn't the last (`last` is). */
struct store_event {
    const char *type;
    char *data; /* JSON; owned by the item's owner */
};
struct store_append {
    const char *job_id;
    int64_t attempt, after;
    struct store_event *events;
    size_t count;
    void (*done)(struct store_append *item);
    enum err error;
    int64_t last;
};
MUST_CHECK enum err store_append(struct store *store, struct store_append *item);

/* FINISH: ERR_STALE_TOKEN. `fate`: completed, failed, retry or released; "" on error. */
struct store_finish {
    const char *job_id;
    int64_t attempt;
    const char *outcome, *result, *error_message, *token_usage, *env_names; /* all but the first may
                                                                               be NULL */
    void (*done)(struct store_finish *item);
    enum err error;
    struct stats_used used; /* what token_usage says, for the statistics */
    char fate[12];
    char user_id[STORE_USER_MAX + 1];
};
MUST_CHECK enum err store_finish(struct store *store, struct store_finish *item);

/* PARK: the attempt ends, the job waits for DECIDE until the approval's timeout. ERR_STALE_TOKEN.
 * `fate`: waiting; unasked: the last event is no `waiting_approval`, or crowded: the user has
 * STORE_PARKED_MAX such jobs (about: two replicas may count at once); then nothing was changed.
 * Outcome, result and error_message are not looked at. */
enum { STORE_PARKED_MAX = 1000 };
MUST_CHECK enum err store_park(struct store *store, struct store_finish *item);

/* RENEW: ERR_STALE_TOKEN when the lease has run out. `held` and `ret_held`: arrays of
 * {job_id, attempt}; the answer's are those of `held` that the store agrees with. */
struct store_renew {
    const char *session;
    const json_t *held;
    void (*done)(struct store_renew *item);
    enum err error;
    json_t *ret_held; /* the owner's */
    char renewed_at[STORE_TIME_SIZE];
};
MUST_CHECK enum err store_renew(struct store *store, struct store_renew *item);

/* A run, as worker.run tells of it. */
struct store_run {
    const char *job_id, *user_id, *message, *created_at, *session, *instance;
    int64_t attempt, events, time_ms;
    /* JSON, a text, JSON of what earlier attempts have used; NULL: none, not known. */
    const char *options, *conversation_id, *usage;
    struct origin origin;
};
typedef void store_runs_fn(void *arg, enum err error, const struct store_run *runs, size_t count);
/* Runs that a session should hold since a second before `renewed_at`, and that are not in its
 * `held`. */
void store_missing(struct store *store, const char *session, const json_t *held,
                   const char *renewed_at, store_runs_fn *done, void *arg);

/* Rows that changed, for hints, cancels and the queues in memory. */
struct store_change {
    const char *job_id, *user_id;
    const char *instance; /* of the worker that held it; NULL: none */
    int64_t attempt;
    bool queued; /* it waits again, and is due */
    bool ended;
};
typedef void store_changes_fn(void *arg, enum err error, const struct store_change *changes,
                              size_t count);

/* Queued jobs that are due, at most `per_user` of each user. */
void store_scan(struct store *store, int64_t per_user, int64_t max, store_changes_fn *done,
                void *arg);
/* REAP and BURY: running with no live session, or past its deadline; parked for too long. */
void store_reap(struct store *store, store_changes_fn *done, void *arg);
/* One change at most; none: it is not there, or has ended. */
void store_cancel(struct store *store, const char *job_id, const char *user_id,
                  store_changes_fn *done, void *arg);

/* DECIDE: a parked job is queued again with an event `approval` of this data (JSON). One change at
 * most; none: it is not there, or does not wait, or `call_ids` (a PostgreSQL array of texts; NULL:
 * any) has one that it does not wait with. ERR_PEER_LOST: it may have been done. */
void store_decide(struct store *store, const char *job_id, const char *user_id, const char *data,
                  const char *call_ids, store_changes_fn *done, void *arg);

/* ERR_STALE_TOKEN: that session has ended. */
void store_session_open(struct store *store, const char *session, const char *instance,
                        const char *host, const char *version, int64_t capacity,
                        store_done_fn *done, void *arg);
void store_session_close(struct store *store, const char *session, store_changes_fn *done,
                         void *arg);

/* Results as the protocol has them; borrowed. jobs.get, jobs.list, jobs.events. ERR_NOT_FOUND. */
typedef void store_json_fn(void *arg, enum err error, json_t *result);
void store_get(struct store *store, const char *job_id, const char *user_id, int64_t timeout_ms,
               store_json_fn *done, void *arg);
/* Several jobs by one statement, those that are there in the order of `index`. Beyond half a
 * megabyte of texts a job that isn't the first is `cut`: no message, no result. Borrowed. */
struct store_job {
    size_t index;
    const char *job_id, *user_id, *status, *error_message, *created_at, *updated_at, *completed_at;
    const char *token_usage; /* JSON of any kind, or NULL */
    const char *message, *result;
    const char *conversation_id, *waiting_approval; /* NULL; an array as JSON, or NULL */
    bool cut;
};
typedef void store_jobs_fn(void *arg, enum err error, const struct store_job *jobs, size_t count);
void store_get_many(struct store *store, const char *const *ids, const char *const *users,
                    size_t count, int64_t timeout_ms, store_jobs_fn *done, void *arg);
void store_list(struct store *store, const char *user_id, int64_t limit, int64_t offset,
                const char *status, int64_t timeout_ms, store_json_fn *done, void *arg);
/* Only a conversation's. */
void store_list_conversation(struct store *store, const char *user_id, int64_t limit,
                             int64_t offset, const char *conversation_id, int64_t timeout_ms,
                             store_json_fn *done, void *arg);
/* jobs.conversation. */
void store_conversation(struct store *store, const char *user_id, const char *conversation_id,
                        const char *before, int64_t limit, int64_t timeout_ms, store_json_fn *done,
                        void *arg);
void store_events(struct store *store, const char *job_id, const char *user_id, int64_t after,
                  int64_t limit, int64_t timeout_ms, store_json_fn *done, void *arg);

/* Deletes some of a user's jobs; `changes` are all that went, call again until there are none. */
void store_forget(struct store *store, const char *user_id, store_changes_fn *done, void *arg);

/* Of all users, for operators: jobs.workers, jobs.find, jobs.recent. `before` may be NULL, `status`
 * "". */
void store_workers(struct store *store, store_json_fn *done, void *arg);
void store_find_job(struct store *store, const char *job_id, int64_t timeout_ms,
                    store_json_fn *done, void *arg);
struct store_filter {
    const char *before, *user_id; /* NULL: none */
    const char *status, *text;    /* "": none */
};
void store_recent(struct store *store, int64_t limit, const struct store_filter *filter,
                  int64_t timeout_ms, store_json_fn *done, void *arg);
/* jobs.errors: what failed lately says, a row for each job, newest first. */
struct store_failure {
    const char *job_id, *user_id, *error_message, *at;
};
enum { STORE_FAILURES_MAX = 2000 };
typedef void store_failures_fn(void *arg, enum err error, const struct store_failure *failures,
                               size_t count);
void store_failures(struct store *store, store_failures_fn *done, void *arg);
/* jobs.database, but for `answer_ms`. */
void store_database(struct store *store, store_json_fn *done, void *arg);

/* The statistics. What the statements here have committed is counted, and written to the database
 * by store_stats_flush, which is to be called several times a second and does nothing when it is
 * not yet time (or, `at_once`, when there is nothing). A batch whose outcome is unknown is sent
 * again until it is known, and counts once. */
void store_stats_flush(struct store *store, bool at_once);
bool store_stats_flushed(const struct store *store); /* or the store isn't ready */
void store_stats_depth(struct store *store, int64_t queued, int64_t running);
/* jobs.stats, as JSON text; `text` may be emptied. */
typedef void store_text_fn(void *arg, enum err error, struct buf *text);
void store_stats_read(struct store *store, int64_t span, int64_t step, int64_t timeout_ms,
                      store_text_fn *done, void *arg);
/* Notes what a worker says of itself; a hint that comes again with its renewals. */
void store_session_draining(struct store *store, const char *session, bool draining);

typedef void store_count_fn(void *arg, enum err error, int64_t a, int64_t b);
void store_counts(struct store *store, store_count_fn *done, void *arg); /* queued, running */

/* Deletes old rows in a small batch, when that is due and no other replica is at it: jobs that
 * ended `days` ago (0: keeps all), keys of yesterday, dead sessions. The next one is due after
 * `pause_ms` while there is more, else minutes later; `wait_ms` says when. */
enum { STORE_SWEEP_JOBS = 500, STORE_SWEEP_USERS = 200 };
struct store_swept {
    int64_t jobs, others, wait_ms;
};
typedef void store_swept_fn(void *arg, enum err error, const struct store_swept *swept);
void store_sweep(struct store *store, int64_t days, int64_t pause_ms, store_swept_fn *done,
                 void *arg);

#endif
