/* services/jobs/store.h over the tables of sim_db.c. A statement starts, is applied some time later
 * and answers later still; what is between may be lost, and is then sent again as libcommon/pg.c
 * does, whether it was applied or not. */
#include "services/jobs/store.h"

#include <string.h>

#include "libcommon/mem.h"
#include "services/settings.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_db.h"
#include "tests/sim/sim_store.h"

enum {
    WRITERS = 2,
    BATCH_MAX = 256,
    WAITING_MAX = 4096,
    WRITE_MS = 25000,
    READ_MS = 10000,
    REAP_MAX = 1000
};
static const int64_t epoch_us = INT64_C(1767225600) * DB_SECOND;

/* A statement under way; the world's memory, but for `items`. */
struct tx {
    struct tx *next, **prev_next;
    struct store *store; /* NULL: it has gone */
    struct instance *owner;
    enum op op;
    bool sent;
    int64_t deadline; /* sim.now */
    int64_t now;
    enum err error;
    unsigned writer;
    size_t count;
    void **items, **copies;
    char *a, *b, *c, *d;
    int64_t n, m, x, y;
    json_t *json;
    struct db_changes changes;
    struct db_runs runs;
    void (*done)(void);
    void *arg;
};

struct group {
    void *items[WAITING_MAX];
    size_t count, in_flight;
    bool busy[WRITERS];
};

struct store {
    struct loop *loop;
    struct instance *owner;
    struct group groups[OP_GROUPS];
    struct tx *txs;
};

static struct db db;
static bool away;

struct db *sim_db(void)
{
    return &db;
}

int64_t sim_db_now(void)
{
    return epoch_us + sim.now;
}

static double jitter(void)
{
    return (double)sim_range(0, 1000) / 1000;
}

void sim_store_begin(void)
{
    away = false;
    db_init(&db, sim.settings->job_timeout * 1000, sim.settings->job_max_attempts);
    db.approval_timeout_us = sim.settings->approval_timeout * DB_SECOND;
    db.jitter = jitter;
    db.bug = sim.bug;
}

void sim_store_away(bool now_away)
{
    sim_trace("the database is %s", now_away ? "away" : "back");
    away = now_away;
}

/* --- a statement's way --- */

static void tx_answer(void *arg);
static void tx_start(void *arg);

static void tx_send(struct tx *tx, struct store *store, int64_t timeout_ms)
{
    tx->store = store;
    tx->owner = store->owner;
    tx->deadline = sim.now + timeout_ms * SIM_MS;
    tx->next = store->txs;
    tx->prev_next = &store->txs;
    if (tx->next)
        tx->next->prev_next = &tx->next;
    store->txs = tx;
    if (!store->owner->dying || sim_chance(500000))
        tx_start(tx);
}

static void apply_group(struct tx *tx, int64_t clock)
{
    bool *locked = sim_new(tx->count);
    switch (tx->op) {
    case OP_SUBMIT:
        db_submit(&db, tx->now, (struct store_submit **)tx->copies, tx->count);
        break;
    case OP_CLAIM:
        for (size_t i = 0; i < tx->count; i++)
            locked[i] = sim_chance(sim.faults.db_locked);
        db_claim(&db, tx->now, (struct store_claim **)tx->copies, locked, tx->count);
        break;
    case OP_APPEND:
        db_append(&db, tx->now, (struct store_append **)tx->copies, tx->count);
        break;
    case OP_FINISH:
        db_finish(&db, tx->now, (struct store_finish **)tx->copies, tx->count);
        break;
    case OP_PARK:
        db_park(&db, tx->now, (struct store_finish **)tx->copies, tx->count);
        break;
    default:
        db_renew(&db, tx->now, clock, (struct store_renew **)tx->copies, tx->count);
    }
}

static void apply_one(struct tx *tx)
{
    tx->changes = (struct db_changes){0};
    tx->runs = (struct db_runs){0};
    switch (tx->op) {
    case OP_LOOKUP:
        db_submit_lookup(&db, (struct store_submit **)tx->copies, tx->count);
        break;
    case OP_MISSING:
        db_missing(&db, tx->now, tx->a, tx->json, tx->n, &tx->runs);
        break;
    case OP_SCAN:
        db_scan(&db, tx->now, tx->n, tx->m, &tx->changes);
        break;
    case OP_REAP:
        db_reap(&db, tx->now, REAP_MAX, &tx->changes);
        break;
    case OP_CANCEL:
        db_cancel(&db, tx->now, tx->a, tx->b, &tx->changes);
        break;
    case OP_DECIDE:
        db_decide(&db, tx->now, tx->a, tx->b, tx->c, tx->d, &tx->changes);
        break;
    case OP_FORGET:
        db_forget(&db, tx->a, &tx->changes);
        break;
    case OP_OPEN:
        tx->error = db_session_open(&db, tx->now, tx->a, tx->b);
        break;
    case OP_CLOSE:
        db_session_close(&db, tx->now, tx->a, &tx->changes);
        break;
    case OP_GET:
        tx->json = db_get(&db, tx->a, tx->b);
        break;
    case OP_EVENTS:
        tx->json = db_events(&db, tx->a, tx->b, tx->n, tx->m);
        break;
    case OP_COUNTS:
        db_counts(&db, &tx->x, &tx->y);
        break;
    default:
        break;
    }
}

static void tx_again(struct tx *tx)
{
    sim_at(tx->owner, sim_range(20 * SIM_MS, SIM_SECOND), tx_start, tx);
}

/* The connection was lost at this moment, before or after the change was made. */
static bool is_lost(const struct tx *tx)
{
    return away || (!tx->owner->alive && sim_chance(300000)) || sim_chance(sim.faults.db_unknown);
}

static void tx_commit(void *arg)
{
    struct tx *tx = arg;
    bool lost = is_lost(tx);
    tx->error = ERR_OK;
    if (sim.bug == DB_BUG_ACK_BEFORE_COMMIT && tx->op == OP_SUBMIT && sim_chance(50000)) {
        for (size_t i = 0; i < tx->count; i++)
            ((struct store_submit *)tx->copies[i])->error = ERR_OK;
    } else if (!lost || (!away && sim_chance(500000))) {
        if (tx->op < OP_GROUPS)
            apply_group(tx, sim_range(tx->now, sim_db_now()));
        else
            apply_one(tx);
    }
    if (lost && tx->op == OP_DECIDE) /* which is never sent twice */
        tx->error = ERR_PEER_LOST;
    if (lost && tx->op != OP_DECIDE)
        tx_again(tx);
    else
        sim_at(tx->owner, sim_range(40, 400), tx_answer, tx);
}

static int64_t work_time(void)
{
    if (sim_chance(sim.faults.db_slow))
        return sim_range(10 * SIM_MS, 2500 * SIM_MS);
    return sim_range(150, 1500);
}

/* Within the instance: what waits for the database is its memory. */
static void tx_start(void *arg)
{
    struct tx *tx = arg;
    if (!tx->store)
        return;
    if (sim.now >= tx->deadline) {
        tx->error = tx->sent ? ERR_PEER_LOST : ERR_TIMEOUT;
        sim_at(tx->owner, 0, tx_answer, tx);
    } else if (away) {
        sim_at(tx->owner, sim_range(20 * SIM_MS, 200 * SIM_MS), tx_start, tx);
    } else {
        tx->sent = true;
        tx->now = sim_db_now();
        sim_at(NULL, work_time(), tx_commit, tx);
    }
}

/* --- groups --- */

static void send_batch(struct store *store, enum op op, unsigned writer)
{
    struct group *group = &store->groups[op];
    struct tx *tx = sim_new(sizeof *tx);
    tx->op = op;
    tx->writer = writer;
    tx->count = group->count < BATCH_MAX ? group->count : BATCH_MAX;
    tx->items = sim_new(tx->count * sizeof(void *));
    tx->copies = sim_new(tx->count * sizeof(void *));
    for (size_t i = 0; i < tx->count; i++) {
        tx->items[i] = group->items[i];
        tx->copies[i] = item_copy(op, group->items[i]);
    }
    group->count -= tx->count;
    group->in_flight += tx->count;
    memmove(group->items, group->items + tx->count, group->count * sizeof(void *));
    group->busy[writer] = true;
    tx_send(tx, store, WRITE_MS);
}

static bool turn(void *arg)
{
    struct store *store = arg;
    bool did = false;
    for (enum op op = 0; op < OP_GROUPS; op++)
        for (unsigned i = 0; i < WRITERS; i++)
            if (store->groups[op].count && !store->groups[op].busy[i]) {
                send_batch(store, op, i);
                did = true;
            }
    return did;
}

static enum err add(struct store *store, enum op op, void *item)
{
    struct group *group = &store->groups[op];
    if (group->count >= WAITING_MAX)
        return ERR_OVERLOADED;
    group->items[group->count++] = item;
    return ERR_OK;
}

enum err store_submit(struct store *store, struct store_submit *item)
{
    return add(store, OP_SUBMIT, item);
}

enum err store_claim(struct store *store, struct store_claim *item)
{
    return add(store, OP_CLAIM, item);
}

enum err store_append(struct store *store, struct store_append *item)
{
    return add(store, OP_APPEND, item);
}

enum err store_finish(struct store *store, struct store_finish *item)
{
    return add(store, OP_FINISH, item);
}

enum err store_park(struct store *store, struct store_finish *item)
{
    return add(store, OP_PARK, item);
}

enum err store_renew(struct store *store, struct store_renew *item)
{
    return add(store, OP_RENEW, item);
}

/* --- answers --- */

/* Whole batches get the error of their statement. */
static void set_errors(struct tx *tx)
{
    for (size_t i = 0; tx->error && i < tx->count; i++)
        item_set_error(tx->op, tx->copies[i], tx->error);
}

/* What was there already is looked up by a read. */
static void answer_submit(struct tx *tx, struct store *store)
{
    struct tx *lookup = sim_new(sizeof *lookup);
    lookup->op = OP_LOOKUP;
    lookup->items = sim_new(tx->count * sizeof(void *));
    lookup->copies = sim_new(tx->count * sizeof(void *));
    for (size_t i = 0; i < tx->count; i++) {
        struct store_submit *copy = tx->copies[i];
        if (copy->error != ERR_NOT_FOUND) {
            item_give(OP_SUBMIT, tx->items[i], copy);
            continue;
        }
        lookup->items[lookup->count] = tx->items[i];
        lookup->copies[lookup->count++] = copy;
    }
    if (lookup->count)
        tx_send(lookup, store, READ_MS);
}

typedef void any_fn(void);

static void answer_one(struct tx *tx)
{
    any_fn *done = tx->done;
    switch (tx->op) {
    case OP_LOOKUP:
        for (size_t i = 0; i < tx->count; i++)
            item_give(OP_SUBMIT, tx->items[i], tx->copies[i]);
        break;
    case OP_MISSING:
        ((store_runs_fn *)(void *)done)(tx->arg, tx->error, tx->runs.items, tx->runs.count);
        break;
    case OP_GET:
    case OP_EVENTS: {
        json_t *json = tx->json && !tx->error ? json_deep_copy(tx->json) : NULL;
        enum err error = !tx->error && !json ? ERR_NOT_FOUND : tx->error;
        ((store_json_fn *)(void *)done)(tx->arg, error, json);
        json_decref(json);
        break;
    }
    case OP_COUNTS:
        ((store_count_fn *)(void *)done)(tx->arg, tx->error, tx->x, tx->y);
        break;
    case OP_OPEN:
    case OP_PING:
        ((store_done_fn *)(void *)done)(tx->arg, tx->error);
        break;
    default:
        ((store_changes_fn *)(void *)done)(tx->arg, tx->error, tx->changes.items,
                                           tx->error ? 0 : tx->changes.count);
    }
}

static void tx_unlink(struct tx *tx)
{
    *tx->prev_next = tx->next;
    if (tx->next)
        tx->next->prev_next = tx->prev_next;
    tx->store = NULL;
}

static void tx_answer(void *arg)
{
    struct tx *tx = arg;
    struct store *store = tx->store;
    if (!store)
        return;
    tx_unlink(tx);
    set_errors(tx);
    if (tx->op >= OP_GROUPS) {
        answer_one(tx);
        return;
    }
    store->groups[tx->op].busy[tx->writer] = false;
    store->groups[tx->op].in_flight -= tx->count;
    if (tx->op == OP_SUBMIT)
        answer_submit(tx, store);
    else
        for (size_t i = 0; i < tx->count; i++)
            item_give(tx->op, tx->items[i], tx->copies[i]);
}

/* --- single statements --- */

static struct tx *tx_new(enum op op, const char *a, const char *b, any_fn *done, void *arg)
{
    struct tx *tx = sim_new(sizeof *tx);
    tx->op = op;
    tx->a = sim_text(a);
    tx->b = sim_text(b);
    tx->done = done;
    tx->arg = arg;
    return tx;
}

void store_ping(struct store *store, store_done_fn *done, void *arg)
{
    tx_send(tx_new(OP_PING, NULL, NULL, (any_fn *)(void *)done, arg), store, READ_MS);
}

void store_probe(struct store *store, store_done_fn *done, void *arg)
{
    store_ping(store, done, arg);
}

void store_missing(struct store *store, const char *session, const json_t *held,
                   const char *renewed_at, store_runs_fn *done, void *arg)
{
    struct tx *tx = tx_new(OP_MISSING, session, NULL, (any_fn *)(void *)done, arg);
    struct instance *was = sim_world();
    tx->json = json_deep_copy(held);
    sim_back(was);
    tx->n = db_parse_time(renewed_at);
    tx_send(tx, store, READ_MS);
}

void store_scan(struct store *store, int64_t per_user, int64_t max, store_changes_fn *done,
                void *arg)
{
    struct tx *tx = tx_new(OP_SCAN, NULL, NULL, (any_fn *)(void *)done, arg);
    tx->n = per_user;
    tx->m = max;
    tx_send(tx, store, WRITE_MS);
}

void store_reap(struct store *store, store_changes_fn *done, void *arg)
{
    tx_send(tx_new(OP_REAP, NULL, NULL, (any_fn *)(void *)done, arg), store, WRITE_MS);
}

void store_cancel(struct store *store, const char *job_id, const char *user_id,
                  store_changes_fn *done, void *arg)
{
    tx_send(tx_new(OP_CANCEL, job_id, user_id, (any_fn *)(void *)done, arg), store, WRITE_MS);
}

void store_decide(struct store *store, const char *job_id, const char *user_id, const char *data,
                  const char *call_ids, store_changes_fn *done, void *arg)
{
    struct tx *tx = tx_new(OP_DECIDE, job_id, user_id, (any_fn *)(void *)done, arg);
    tx->c = sim_text(data);
    tx->d = sim_text(call_ids);
    tx_send(tx, store, WRITE_MS);
}

void store_forget(struct store *store, const char *user_id, store_changes_fn *done, void *arg)
{
    tx_send(tx_new(OP_FORGET, user_id, NULL, (any_fn *)(void *)done, arg), store, WRITE_MS);
}

void store_session_open(struct store *store, const char *session, const char *instance,
                        const char *host, const char *version, int64_t capacity,
                        store_done_fn *done, void *arg)
{
    (void)host;
    (void)version;
    (void)capacity;
    tx_send(tx_new(OP_OPEN, session, instance, (any_fn *)(void *)done, arg), store, WRITE_MS);
}

void store_session_close(struct store *store, const char *session, store_changes_fn *done,
                         void *arg)
{
    tx_send(tx_new(OP_CLOSE, session, NULL, (any_fn *)(void *)done, arg), store, WRITE_MS);
}

void store_get(struct store *store, const char *job_id, const char *user_id, int64_t timeout_ms,
               store_json_fn *done, void *arg)
{
    tx_send(tx_new(OP_GET, job_id, user_id, (any_fn *)(void *)done, arg), store, timeout_ms);
}

void store_events(struct store *store, const char *job_id, const char *user_id, int64_t after,
                  int64_t limit, int64_t timeout_ms, store_json_fn *done, void *arg)
{
    struct tx *tx = tx_new(OP_EVENTS, job_id, user_id, (any_fn *)(void *)done, arg);
    tx->n = after;
    tx->m = limit;
    tx_send(tx, store, timeout_ms);
}

void store_counts(struct store *store, store_count_fn *done, void *arg)
{
    tx_send(tx_new(OP_COUNTS, NULL, NULL, (any_fn *)(void *)done, arg), store, WRITE_MS);
}

static void swept(void *arg)
{
    struct tx *tx = arg;
    struct store_swept nothing = {.wait_ms = 600000};
    if (!tx->store)
        return;
    tx_unlink(tx);
    ((store_swept_fn *)(void *)tx->done)(tx->arg, ERR_OK, &nothing);
}

/* Nothing here grows old. */
void store_sweep(struct store *store, int64_t days, int64_t pause_ms, store_swept_fn *done,
                 void *arg)
{
    (void)days;
    (void)pause_ms;
    struct tx *tx = tx_new(OP_PING, NULL, NULL, (any_fn *)(void *)done, arg);
    tx->store = store;
    tx->owner = store->owner;
    tx->next = store->txs;
    tx->prev_next = &store->txs;
    if (tx->next)
        tx->next->prev_next = &tx->next;
    store->txs = tx;
    sim_at(tx->owner, SIM_MS, swept, tx);
}

/* --- the store itself --- */

enum err store_new(const struct store_options *options, struct store **ret_store)
{
    struct store *store = mem_alloc(sizeof *store);
    store->loop = options->loop;
    store->owner = sim.current;
    loop_source_add(store->loop, turn, store);
    *ret_store = store;
    return ERR_OK;
}

void store_destroy(struct store **store_p)
{
    struct store *store = *store_p;
    if (!store)
        return;
    *store_p = NULL;
    loop_source_remove(store->loop, turn, store);
    while (store->txs) {
        struct tx *tx = store->txs;
        bool sweeps = tx->op == OP_PING && tx->deadline == 0;
        tx_unlink(tx);
        tx->error = ERR_CANCELLED;
        if (sweeps) {
            struct store_swept nothing = {0};
            ((store_swept_fn *)(void *)tx->done)(tx->arg, ERR_CANCELLED, &nothing);
        } else if (tx->op >= OP_GROUPS) {
            set_errors(tx);
            answer_one(tx);
        }
    }
    free(store);
}

bool store_ready(const struct store *store)
{
    (void)store;
    return !away;
}

const char *store_problem(const struct store *store)
{
    (void)store;
    return away ? "away" : "";
}

size_t store_pending(const struct store *store)
{
    size_t pending = 0;
    for (enum op op = 0; op < OP_GROUPS; op++)
        pending += store->groups[op].count + store->groups[op].in_flight;
    for (const struct tx *tx = store->txs; tx; tx = tx->next)
        pending +=
            tx->op == OP_LOOKUP || tx->op == OP_GET || tx->op == OP_EVENTS || tx->op == OP_MISSING;
    return pending;
}
