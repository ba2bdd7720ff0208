/* SUBMIT and the look-up of what was there already. */
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/jobs/store_stats.h"

/* The usual batch: every id is new. Without ON CONFLICT a row costs a third less; an id that is
 * there already ends the batch with a unique violation, and it is repeated with care. Both insert
 * all keys first, then all jobs, so that two batches with items in common wait in line.
 * Jobs with options, a conversation, a callback or a trace of somebody else's go in batches of
 * their own, with MORE: the others pay nothing for them. */
#define MORE_ARRAYS ", $9::text[], $10::text[], $11::text[], $12::text[], $13::text[]"
#define MORE_NAMES ", options, conversation, callback, traceparent, tracestate"
#define MORE_COLUMNS ", options, conversation_id, callback_url, traceparent, tracestate"
#define MORE_VALUES ", options::json, conversation, callback, traceparent, tracestate"
#define CONVERSED                                                                        \
    "), conversed AS ("                                                                  \
    " INSERT INTO job_conversations (user_id, conversation_id, created_at, id)"          \
    " SELECT user_id, conversation, now(), id FROM input WHERE conversation IS NOT NULL" \
    " AND id = ANY (ARRAY (SELECT id FROM fresh)) ON CONFLICT DO NOTHING"

#define SUBMIT(arrays, names, columns, values, returning)                                                       \
    "WITH alive AS MATERIALIZED ("                                                                              \
    " SELECT session FROM worker_sessions"                                                                      \
    " WHERE session = ANY ($6::text[]) AND lease_until > now()"                                                 \
    "), input AS MATERIALIZED ("                                                                                \
    " SELECT i.id, i.user_id, i.message, i.key, i.hash, i.request_id, a.session" names " FROM"                  \
    " unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $8::text[]" arrays         \
    ")  AS i (id, user_id, message, key, hash, session, request_id" names ")"                                   \
    " LEFT JOIN alive a ON a.session = i.session"                                                               \
    "), keyed AS ("                                                                                             \
    " INSERT INTO job_idempotency (user_id, key, hash, job_id)"                                                 \
    " SELECT user_id, key, hash, id FROM input WHERE key IS NOT NULL ORDER BY user_id, key, id"                 \
    " ON CONFLICT DO NOTHING RETURNING job_id"                                                                  \
    "), taken AS MATERIALIZED ("                                                                                \
    " SELECT id, user_id, message, request_id, session, CASE WHEN session IS NULL THEN 0 ELSE 1 END AS n" names \
    " FROM input WHERE (SELECT count(*) FROM keyed) >= 0"                                                       \
    "  AND (key IS NULL OR id IN (SELECT job_id FROM keyed))"                                                   \
    "), fresh AS ("                                                                                             \
    " INSERT INTO job_data (id, user_id, message, created_at, updated_at, request_id" columns ")"               \
    " SELECT id, user_id, message, now(), now(), request_id" values " FROM taken" returning                     \
    "), queued AS ("                                                                                            \
    " INSERT INTO job_queue (job_id, user_id, state, run_at, deadline, session, attempt, events,"               \
    "  claimed_at, first_started_at)"                                                                           \
    " SELECT id, user_id, n, now(),"                                                                            \
    "  CASE n WHEN 1 THEN now() + $7::bigint * interval '1 millisecond' END,"                                   \
    "  session, n, 1 + n, CASE n WHEN 1 THEN now() END, CASE n WHEN 1 THEN now() END"                           \
    " FROM taken WHERE (SELECT count(*) FROM fresh) > 0 RETURNING job_id, session, user_id"                     \
    ") SELECT job_id, session, (SELECT " STORE_TIME("now()") "), user_id FROM queued"

#define SUBMIT_CAREFULLY(arrays, names, columns, values, conversed)                                     \
    "WITH input AS MATERIALIZED ("                                                                      \
    " SELECT DISTINCT ON (id) id, user_id, message, key, hash, session, request_id" names " FROM"       \
    " unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $8::text[]" arrays \
    ")  AS i (id, user_id, message, key, hash, session, request_id" names ") ORDER BY id"               \
    "), keyed AS ("                                                                                     \
    " INSERT INTO job_idempotency (user_id, key, hash, job_id)"                                         \
    " SELECT user_id, key, hash, id FROM input WHERE key IS NOT NULL ORDER BY user_id, key, id"         \
    " ON CONFLICT DO NOTHING RETURNING job_id"                                                          \
    "), fresh AS ("                                                                                     \
    " INSERT INTO job_data (id, user_id, message, created_at, updated_at, request_id" columns ")"       \
    " SELECT id, user_id, message, now(), now(), request_id" values " FROM input"                       \
    " WHERE key IS NULL OR id IN (SELECT job_id FROM keyed) ORDER BY id COLLATE \"C\""                  \
    " ON CONFLICT DO NOTHING RETURNING id" conversed "), alive AS MATERIALIZED ("                       \
    " SELECT session FROM worker_sessions"                                                              \
    " WHERE session = ANY ($6::text[]) AND lease_until > now()"                                         \
    "), queued AS ("                                                                                    \
    " INSERT INTO job_queue (job_id, user_id, state, run_at, deadline, session, attempt, events,"       \
    "  claimed_at, first_started_at)"                                                                   \
    " SELECT i.id, i.user_id, n, now(),"                                                                \
    "  CASE n WHEN 1 THEN now() + $7::bigint * interval '1 millisecond' END,"                           \
    "  a.session, n, 1 + n, CASE n WHEN 1 THEN now() END, CASE n WHEN 1 THEN now() END"                 \
    " FROM input i LEFT JOIN alive a ON a.session = i.session"                                          \
    " CROSS JOIN LATERAL (SELECT CASE WHEN a.session IS NULL THEN 0 ELSE 1 END AS n) c"                 \
    " WHERE i.id = ANY (ARRAY (SELECT id FROM fresh)) ORDER BY i.id COLLATE \"C\""                      \
    " ON CONFLICT DO NOTHING RETURNING job_id, session, user_id"                                        \
    ") SELECT job_id, session, " STORE_TIME("now()") ", user_id FROM queued"

static const struct pg_statement submit_statement = {"submit",
                                                     SUBMIT("", "", "", "", " RETURNING 1"), true};
static const struct pg_statement careful_statement = {"submit_carefully",
                                                      SUBMIT_CAREFULLY("", "", "", "", ""), true};
static const struct pg_statement submit_more_statement = {
    "submit_more",
    SUBMIT(MORE_ARRAYS, MORE_NAMES, MORE_COLUMNS, MORE_VALUES, " RETURNING id" CONVERSED), true};
static const struct pg_statement careful_more_statement = {
    "submit_more_carefully",
    SUBMIT_CAREFULLY(MORE_ARRAYS, MORE_NAMES, MORE_COLUMNS, MORE_VALUES, CONVERSED), true};

/* What is there may be on this server alone: its commit's wait for the standby was cancelled, or a
 * crash ended it. A commit of our own that waits as well, behind it, tells that the standby has it.
 */
static const struct pg_statement lookup_statement = {
    "submit_lookup",
    "SELECT i.id, k.hash, k.job_id, d.user_id = i.user_id, k.hash = i.hash,"
    " (SELECT CASE WHEN current_setting('synchronous_standby_names') <> ''"
    "  THEN pg_logical_emit_message(true, 'mcpbus', '') END)"
    " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS i (id, user_id, key, hash)"
    " LEFT JOIN job_idempotency k ON k.user_id = i.user_id AND k.key = i.key"
    " LEFT JOIN job_data d ON d.id = coalesce(k.job_id, i.id)",
    true};

static const char *id_of(const void *item)
{
    return ((const struct store_submit *)item)->job_id;
}

enum {
    PLAIN_ARRAYS = 6,
    TIMEOUT = 6,
    REQUEST_ID = 7,
    OPTIONS = 8,
    CONVERSATION = 9,
    CALLBACK = 10,
    TRACEPARENT = 11,
    TRACESTATE = 12,
    PARAMS = 13
};

static void encode_sorted(const struct store *store, void *const *sorted, size_t count,
                          struct buf *params)
{
    store_begin(params, PLAIN_ARRAYS);
    store_begin(&params[REQUEST_ID], 1);
    for (size_t i = 0; i < count; i++) {
        const struct store_submit *item = sorted[i];
        store_add(&params[0], item->job_id);
        store_add(&params[1], item->user_id);
        store_add(&params[2], item->message);
        store_add(&params[3], item->key);
        store_add(&params[4], item->key ? item->hash : NULL);
        store_add(&params[5], item->session);
        store_add(&params[REQUEST_ID], item->origin.request_id);
    }
    store_end(params, PLAIN_ARRAYS);
    store_end(&params[REQUEST_ID], 1);
    buf_add_str(&params[TIMEOUT], store->job_timeout);
}

static void encode(void *arg, void *const *items, size_t count, struct buf *params)
{
    AUTOFREE void **sorted = store_sorted(items, count, id_of);
    encode_sorted(arg, sorted, count, params);
}

static void encode_more(void *arg, void *const *items, size_t count, struct buf *params)
{
    AUTOFREE void **sorted = store_sorted(items, count, id_of);
    encode_sorted(arg, sorted, count, params);
    store_begin(&params[OPTIONS], PARAMS - OPTIONS);
    for (size_t i = 0; i < count; i++) {
        const struct store_submit *item = sorted[i];
        store_add(&params[OPTIONS], item->options);
        store_add(&params[CONVERSATION], item->conversation_id);
        store_add(&params[CALLBACK], item->callback_url);
        store_add(&params[TRACEPARENT], item->origin.traceparent);
        store_add(&params[TRACESTATE], item->origin.tracestate);
    }
    store_end(&params[OPTIONS], PARAMS - OPTIONS);
}

struct lookup {
    size_t count;
    struct store_submit *items[];
};

static void judge(struct store_submit *item, const struct pg_rows *rows, size_t row)
{
    bool keyed = pg_rows_text(rows, row, 2) != NULL;
    const char *owned = pg_rows_text(rows, row, 3);
    if (keyed && !pg_rows_bool(rows, row, 4)) {
        item->error = ERR_CONFLICT;
    } else if (keyed || (owned && *owned == 't')) {
        item->error = ERR_OK;
        store_copy(item->existing, sizeof item->existing,
                   keyed ? pg_rows_text(rows, row, 2) : item->job_id);
    } else {
        /* Another user's id; or a key that has just been swept: a retry finds it free. */
        item->error = owned ? ERR_CONFLICT : ERR_OVERLOADED;
    }
}

static void on_lookup(void *arg, enum err error, const struct pg_rows *rows)
{
    struct lookup *lookup = arg;
    for (size_t i = 0; i < lookup->count; i++) {
        struct store_submit *item = lookup->items[i];
        item->error = error;
        /* The rows come in the order of the input unless the planner reorders: match by id. */
        for (size_t n = 0; !error && n < pg_rows_count(rows); n++) {
            size_t row = (i + n) % pg_rows_count(rows);
            if (!strcmp(pg_rows_text(rows, row, 0), item->job_id)) {
                judge(item, rows, row);
                break;
            }
        }
        item->done(item);
    }
    free(lookup);
}

static void look_up(struct store *store, struct lookup *lookup)
{
    struct buf params[4];
    const char *values[4];
    for (int i = 0; i < 4; i++)
        buf_init(&params[i], (size_t)1024 * 1024);
    store_begin(params, 4);
    for (size_t i = 0; i < lookup->count; i++) {
        const struct store_submit *item = lookup->items[i];
        store_add(&params[0], item->job_id);
        store_add(&params[1], item->user_id);
        store_add(&params[2], item->key);
        store_add(&params[3], item->hash);
    }
    store_end(params, 4);
    for (int i = 0; i < 4; i++)
        values[i] = buf_text(&params[i]);
    pg_exec(store->writers, &lookup_statement, -1, STORE_READ_MS, values, 4, on_lookup, lookup);
    for (int i = 0; i < 4; i++)
        buf_fini(&params[i]);
}

/* Of an id that is twice in the batch, one was taken: that user's, with that session, which alone
 * may be told to run it. */
static struct store_submit *taken(void *const *items, size_t count, const struct pg_rows *rows,
                                  size_t row)
{
    const char *id = pg_rows_text(rows, row, 0), *session = pg_rows_text(rows, row, 1);
    const char *user_id = pg_rows_text(rows, row, 3);
    ptrdiff_t i = store_find(items, count, id_of, id);
    for (; i >= 0 && (size_t)i < count && !strcmp(id_of(items[i]), id); i++) {
        struct store_submit *item = items[i];
        if (!strcmp(item->user_id, user_id) &&
            (!session || (item->session && !strcmp(item->session, session))))
            return item;
    }
    return NULL;
}

static void done(void *arg, void *const *batch, size_t count, enum err error,
                 const struct pg_rows *rows)
{
    void **items = store_sorted(batch, count, id_of);
    for (size_t i = 0; i < count; i++)
        ((struct store_submit *)items[i])->error = error ? error : ERR_NOT_FOUND;
    for (size_t row = 0; row < pg_rows_count(rows); row++) {
        struct store_submit *item = taken(items, count, rows, row);
        if (!item)
            continue;
        item->error = ERR_OK;
        item->claimed = pg_rows_text(rows, row, 1) != NULL;
        store_stats_now(arg)->submitted++;
        if (item->claimed)
            store_stats_waited(arg, 0);
        store_copy(item->created_at, sizeof item->created_at, pg_rows_text(rows, row, 2));
    }
    struct lookup *lookup = mem_alloc(sizeof *lookup + count * sizeof lookup->items[0]);
    for (size_t i = 0; i < count; i++) {
        struct store_submit *item = batch[i];
        if (item->error == ERR_NOT_FOUND)
            lookup->items[lookup->count++] = item;
        else
            item->done(item);
    }
    free(items);
    if (lookup->count)
        look_up(arg, lookup);
    else
        free(lookup);
}

void store_submit_init(struct store *store)
{
    struct store_batch plain = {.statement = &submit_statement,
                                .careful = &careful_statement,
                                .params = OPTIONS,
                                .submits = true,
                                .encode = encode,
                                .done = done};
    struct store_batch more = plain;
    more.statement = &submit_more_statement;
    more.careful = &careful_more_statement;
    more.params = PARAMS;
    more.encode = encode_more;
    store->submits = store_group(store, &plain);
    store->submits_more = store_group(store, &more);
}

enum err store_submit(struct store *store, struct store_submit *item)
{
    bool more =
        item->options || item->conversation_id || item->callback_url || item->origin.traceparent;
    return pg_group_add(more ? store->submits_more : store->submits, item);
}
