/* APPEND: events of runs, numbered by the queue row's counter under the fence. */
#include <inttypes.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/jobs/store_internal.h"

/* A job may be twice in a batch when its worker repeats a call: the first counts. */
static const struct pg_statement append_statement = {
    "append",
    "WITH input AS MATERIALIZED ("
    " SELECT DISTINCT ON (id) * FROM unnest($1::int[], $2::text[], $3::int[], $4::int[], $5::int[])"
    "  AS i (item, id, attempt, after, n) ORDER BY id, item"
    "), locked AS MATERIALIZED ("
    " SELECT i.item, q.job_id, q.events, i.after, i.n FROM input i JOIN job_queue q"
    " ON q.job_id = i.id WHERE q.state = 1 AND q.attempt = i.attempt"
    " ORDER BY q.job_id COLLATE \"C\" FOR UPDATE OF q"
    "), moved AS ("
    " UPDATE job_queue q SET events = l.events + l.n FROM locked l"
    " WHERE q.job_id = l.job_id AND l.events = l.after"
    "), stored AS ("
    " INSERT INTO job_events (job_id, seq, type, data)"
    " SELECT e.id, e.seq, e.type, e.data::json"
    " FROM unnest($6::int[], $7::text[], $8::int[], $9::text[], $10::text[])"
    "  AS e (item, id, seq, type, data)"
    " WHERE e.item = ANY (ARRAY (SELECT item FROM locked WHERE events = after))"
    " ORDER BY e.id, e.seq"
    ") SELECT item, events + CASE WHEN events = after THEN n ELSE 0 END FROM locked",
    true};

static void encode(void *arg, void *const *items, size_t count, struct buf *params)
{
    (void)arg;
    store_begin(params, 10);
    for (size_t i = 0; i < count; i++) {
        const struct store_append *item = items[i];
        pg_array_add_int(&params[0], (int64_t)i);
        store_add(&params[1], item->job_id);
        pg_array_add_int(&params[2], item->attempt);
        pg_array_add_int(&params[3], item->after);
        pg_array_add_int(&params[4], (int64_t)item->count);
        for (size_t n = 0; n < item->count; n++) {
            pg_array_add_int(&params[5], (int64_t)i);
            store_add(&params[6], item->job_id);
            pg_array_add_int(&params[7], item->after + (int64_t)n + 1);
            store_add(&params[8], item->events[n].type);
            store_add(&params[9], item->events[n].data);
        }
    }
    store_end(params, 10);
}

/* A repeated append finds its rows there already: the same fence made them. */
static void judge(struct store_append *item, int64_t last)
{
    item->last = last;
    item->error = last == item->after + (int64_t)item->count ? ERR_OK : ERR_CONFLICT;
}

/* An item that stands behind another of its job was not looked at: it may come again. */
static bool is_shadowed(void *const *batch, size_t at)
{
    const struct store_append *item = batch[at];
    for (size_t i = 0; i < at; i++)
        if (!strcmp(((const struct store_append *)batch[i])->job_id, item->job_id))
            return true;
    return false;
}

static void done(void *arg, void *const *batch, size_t count, enum err error,
                 const struct pg_rows *rows)
{
    (void)arg;
    for (size_t i = 0; i < count; i++)
        ((struct store_append *)batch[i])->error = error ? error : ERR_STALE_TOKEN;
    for (size_t row = 0; row < pg_rows_count(rows); row++)
        judge(batch[pg_rows_int(rows, row, 0, 0)], pg_rows_int(rows, row, 1, 0));
    for (size_t i = 0; i < count; i++) {
        struct store_append *item = batch[i];
        if (item->error == ERR_STALE_TOKEN && is_shadowed(batch, i))
            item->error = ERR_OVERLOADED;
    }
    for (size_t i = 0; i < count; i++) {
        struct store_append *item = batch[i];
        item->done(item);
    }
}

void store_append_init(struct store *store)
{
    store->appends = store_group(
        store, &(struct store_batch){
                   .statement = &append_statement, .params = 10, .encode = encode, .done = done});
}

enum err store_append(struct store *store, struct store_append *item)
{
    return pg_group_add(store->appends, item);
}
