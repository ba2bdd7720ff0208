/* The tables of the queue in memory, with what the SQL statements of services/jobs do to them: one
 * function for each statement, each a transaction. `now` is the transaction's time (SQL's now()),
 * `clock` the moment itself (clock_timestamp()); microseconds since 1970. Pure: no clock, no chance
 * of its own. tests/sim/test_sim_store.c compares it with PostgreSQL. */
#ifndef MCPBUS_SIM_SIM_DB_H
#define MCPBUS_SIM_SIM_DB_H

#include "libcommon/map.h"
#include "services/jobs/store.h"

enum { DB_SECOND = 1000000 };

struct db_event {
    char *type, *data;
    int64_t at;
};

/* A row of job_data and, while `queued`, its row of job_queue. A time of 0 is NULL. */
struct db_job {
    char *id, *user_id, *message;
    const char *status; /* of job_data: pending until it has ended */
    char *result, *error_message, *token_usage, *env_names;
    int64_t created_at, updated_at, completed_at, started_at;
    int64_t attempts, events;
    bool deleted;

    bool queued;
    int state; /* 0 waits, 1 runs, 2 waits for approval */
    int64_t run_at, deadline, claimed_at, first_started_at;
    char *session;
    int64_t attempt, failures, losses, last_event;

    struct db_event *stored; /* from number 3 on */
    size_t stored_count, stored_room;
};

struct db_session {
    char *session, *instance;
    int64_t lease_until;
};

struct db_key {
    char *user_id, *key, *hash, *job_id;
    int64_t created_at;
};

/* Seeded faults: the simulation must find each. */
enum db_bug {
    DB_BUG_NONE,
    DB_BUG_NO_FENCE,          /* FINISH does not compare attempts */
    DB_BUG_RENEWAL_REVIVES,   /* RENEW takes a lease that has run out */
    DB_BUG_NO_REDELIVERY,     /* what a session lacks is never told */
    DB_BUG_DOUBLE_CLAIM,      /* CLAIM takes what runs already */
    DB_BUG_EARLY_REAP,        /* REAP looks at no lease */
    DB_BUG_CANCEL_KEEPS_ROW,  /* CANCEL leaves the row in the queue */
    DB_BUG_KEY_FORGOTTEN,     /* SUBMIT does not look at keys */
    DB_BUG_ACK_BEFORE_COMMIT, /* an answer though the transaction was lost (sim_store.c) */
    DB_BUG_NO_SELF_KILL,      /* zygotes look at no lease (sim_worker.c) */
    DB_BUG_HELD_ECHOED,       /* RENEW agrees with all that a worker says it holds */
    DB_BUG_KEEPS_ATTEMPT,     /* a job that is claimed again keeps its attempt */
    DB_BUG_DECIDES_ANY,       /* DECIDE does not look whether the job waits for approval */
    DB_BUG_PARK_FOR_EVER,     /* REAP does not look at what waits for approval */
    DB_BUG_COUNT
};

struct db {
    int64_t job_timeout_us, max_attempts, approval_timeout_us;
    enum db_bug bug;
    struct db_job **jobs; /* by id */
    size_t job_count, job_room;
    struct map *by_id;
    struct db_session **sessions;
    size_t session_count, session_room;
    struct db_key *keys;
    size_t key_count, key_room;
    /* Called before and after a statement changes a job; `attempt` is that of the run which asked
     * for it, 0: none. */
    void (*before)(struct db_job *job);
    void (*after)(struct db_job *job, const char *statement, int64_t attempt);
    /* A lease is renewed that lasted until then. */
    void (*renewing)(int64_t lease_until, int64_t clock);
    double (*jitter)(void); /* SQL's random(); NULL: 0 */
};

void db_init(struct db *db, int64_t job_timeout_ms, int64_t max_attempts);
void db_fini(struct db *db);

struct db_job *db_find(const struct db *db, const char *job_id); /* NULL: no row */
void db_time(int64_t at, char ret_text[STORE_TIME_SIZE]);
int64_t db_parse_time(const char *text); /* and back */

/* Batches; results are left in the items as the store leaves them. `locked` of a claim's item: the
 * row is another's just now, and is skipped. */
void db_submit(struct db *db, int64_t now, struct store_submit **items, size_t count);
/* For items with ERR_NOT_FOUND, in a transaction of its own. */
void db_submit_lookup(struct db *db, struct store_submit **items, size_t count);
void db_claim(struct db *db, int64_t now, struct store_claim **items, const bool *locked,
              size_t count);
void db_append(struct db *db, int64_t now, struct store_append **items, size_t count);
void db_finish(struct db *db, int64_t now, struct store_finish **items, size_t count);
void db_park(struct db *db, int64_t now, struct store_finish **items, size_t count);
void db_renew(struct db *db, int64_t now, int64_t clock, struct store_renew **items, size_t count);

/* Rows that changed; the texts are borrowed from the tables. */
struct db_changes {
    struct store_change *items;
    size_t count, room;
};
void db_scan(struct db *db, int64_t now, int64_t per_user, int64_t max, struct db_changes *ret);
void db_reap(struct db *db, int64_t now, int64_t max, struct db_changes *ret);
void db_cancel(struct db *db, int64_t now, const char *job_id, const char *user_id,
               struct db_changes *ret);
/* `call_ids`: as the store has them. */
void db_decide(struct db *db, int64_t now, const char *job_id, const char *user_id,
               const char *data, const char *call_ids, struct db_changes *ret);
void db_forget(struct db *db, const char *user_id, struct db_changes *ret);
enum err db_session_open(struct db *db, int64_t now, const char *session, const char *instance);
void db_session_close(struct db *db, int64_t now, const char *session, struct db_changes *ret);

struct db_runs {
    struct store_run *items;
    char (*created_at)[STORE_TIME_SIZE];
    size_t count;
};
void db_missing(struct db *db, int64_t now, const char *session, const json_t *held,
                int64_t renewed_at, struct db_runs *ret);
void db_counts(const struct db *db, int64_t *ret_queued, int64_t *ret_running);

/* As the protocol has them; NULL: not found. */
json_t *db_get(const struct db *db, const char *job_id, const char *user_id);
json_t *db_events(const struct db *db, const char *job_id, const char *user_id, int64_t after,
                  int64_t limit);

#endif
