#include <assert.h>
#include <string.h>

#include "libcommon/mem.h"
#include "libcommon/pg_internal.h"

/* Bounded, so that neither this process nor the server must hold hundreds of the largest items. */
enum { PARAM_MAX_BYTES = 64 * 1024 * 1024, BATCH_MAX_BYTES = 16 * 1024 * 1024 };

struct batch {
    struct pg_group *group; /* NULL: the group has gone */
    unsigned writer;
    int64_t deadline;
    bool careful;
    size_t count;
    void *items[];
};

struct pg_group {
    struct pg_group_options options;
    void **items; /* a ring */
    size_t size, head, count, in_flight;
    size_t alone;                 /* so many of the next items go out one by one */
    struct batch **batches;       /* of each writer, NULL: free */
    const struct pg_group *first; /* pg_group_yield; NULL: yields to none */
    size_t enough;
    int64_t wait_ms;
    bool must_send;            /* the oldest has waited long enough */
    struct loop_timer *waited; /* runs while this group gathers */
};

static void grow(struct pg_group *group, size_t needed)
{
    size_t size = group->size ? group->size : 64;
    while (size < needed)
        size *= 2;
    if (size == group->size)
        return;
    void **items = mem_alloc(size * sizeof *items);
    for (size_t i = 0; group->size && i < group->count; i++)
        items[i] = group->items[(group->head + i) % group->size];
    free(group->items);
    group->items = items;
    group->size = size;
    group->head = 0;
}

/* One item's data, or a lock that another holds on its row, can fail a whole batch, which has then
 * changed nothing: each gets a batch of its own, so that nobody's input fails another's. */
static void put_back(struct pg_group *group, const struct batch *batch)
{
    grow(group, group->count + batch->count);
    group->head = (group->head + group->size - batch->count) % group->size;
    for (size_t i = 0; i < batch->count; i++)
        group->items[(group->head + i) % group->size] = batch->items[i];
    group->count += batch->count;
    group->alone += batch->count;
}

static bool is_one_items_fault(const struct batch *batch, enum err error)
{
    if (error == ERR_TIMEOUT) /* of a lock; past the deadline it is that of the batch */
        return loop_now(batch->group->options.pg->loop) < batch->deadline;
    return error == ERR_INVALID || error == ERR_CONFLICT;
}

static bool repeat_carefully(struct pg_group *group, struct batch *batch);

static void on_batch(void *arg, enum err error, const struct pg_rows *rows)
{
    struct batch *batch = arg;
    struct pg_group *group = batch->group;
    if (group && error == ERR_CONFLICT && !batch->careful && repeat_carefully(group, batch))
        return;
    if (group) {
        group->batches[batch->writer] = NULL;
        group->in_flight -= batch->count;
        if (batch->count > 1 && is_one_items_fault(batch, error))
            put_back(group, batch);
        else
            group->options.done(group->options.arg, batch->items, batch->count, error, rows);
    }
    free(batch);
}

static bool encode(struct pg_group *group, const struct batch *batch, struct buf *params)
{
    const struct pg_group_options *o = &group->options;
    size_t max = batch->count > 1 ? BATCH_MAX_BYTES : PARAM_MAX_BYTES, bytes = 0;
    bool fits = true;
    for (int i = 0; i < o->params; i++)
        buf_init(&params[i], max);
    o->encode(o->arg, batch->items, batch->count, params);
    for (int i = 0; i < o->params; i++) {
        fits = fits && !params[i].full;
        bytes += params[i].len;
    }
    return fits && (batch->count == 1 || bytes <= max);
}

static void params_fini(struct buf *params, int count)
{
    for (int i = 0; i < count; i++)
        buf_fini(&params[i]);
}

static void exec_batch(struct pg_group *group, struct batch *batch, const struct buf *params)
{
    const struct pg_group_options *o = &group->options;
    const char **values = mem_alloc((size_t)o->params * sizeof *values);
    for (int i = 0; i < o->params; i++)
        values[i] = params[i].data; /* one that was never written is NULL */
    int64_t now = loop_now(o->pg->loop);
    if (!batch->careful)
        batch->deadline = now + o->timeout_ms;
    pg_exec(o->pg, batch->careful ? o->careful : o->statement,
            (int)(o->first_connection + batch->writer), batch->deadline - now, values, o->params,
            on_batch, batch);
    free(values);
}

static bool repeat_carefully(struct pg_group *group, struct batch *batch)
{
    const struct pg_group_options *o = &group->options;
    if (!o->careful)
        return false;
    struct buf *params = mem_alloc((size_t)o->params * sizeof *params);
    bool fits = encode(group, batch, params);
    batch->careful = true;
    if (fits)
        exec_batch(group, batch, params);
    params_fini(params, o->params);
    free(params);
    return fits;
}

/* A batch of large items is halved until it fits. */
static void send_batch(struct pg_group *group, unsigned writer)
{
    const struct pg_group_options *o = &group->options;
    size_t most = group->alone ? 1 : o->batch_max;
    size_t count = group->count < most ? group->count : most;
    struct batch *batch = mem_alloc(sizeof *batch + count * sizeof batch->items[0]);
    *batch = (struct batch){.group = group, .writer = writer, .count = count};
    for (size_t i = 0; i < count; i++)
        batch->items[i] = group->items[(group->head + i) % group->size];
    struct buf *params = mem_alloc((size_t)o->params * sizeof *params);
    bool fits = encode(group, batch, params);
    while (!fits && batch->count > 1) {
        params_fini(params, o->params);
        batch->count /= 2;
        fits = encode(group, batch, params);
    }
    group->head = (group->head + batch->count) % group->size;
    group->count -= batch->count;
    group->alone -= group->alone > 0;
    if (fits) {
        group->batches[writer] = batch;
        group->in_flight += batch->count;
        exec_batch(group, batch, params);
    } else {
        o->done(o->arg, batch->items, batch->count, ERR_TOO_LARGE, NULL);
        free(batch);
    }
    params_fini(params, o->params);
    free(params);
}

static bool gathers(struct pg_group *group)
{
    bool yields = group->first && !group->must_send && group->count < group->enough &&
                  pg_group_pending(group->first) > 0;
    if (yields && !loop_timer_active(group->waited))
        loop_timer_start(group->waited, group->wait_ms);
    return yields;
}

static void sends(struct pg_group *group)
{
    group->must_send = false;
    if (group->waited)
        loop_timer_stop(group->waited);
}

/* The loop's turn: so everything that one turn brought goes out as one batch. */
static bool turn(void *arg)
{
    struct pg_group *group = arg;
    bool did = false;
    for (unsigned i = 0; i < group->options.writers && group->count; i++) {
        if (group->batches[i] || gathers(group))
            continue;
        sends(group);
        send_batch(group, i);
        did = true;
    }
    return did;
}

static void on_waited(void *arg)
{
    struct pg_group *group = arg;
    group->must_send = true;
    turn(group);
}

struct pg_group *pg_group_new(const struct pg_group_options *options)
{
    assert(options->first_connection + options->writers <= options->pg->conn_count);
    struct pg_group *group = mem_alloc(sizeof *group);
    group->options = *options;
    group->batches = mem_alloc(options->writers * sizeof(struct batch *));
    loop_source_add(options->pg->loop, turn, group);
    return group;
}

void pg_group_destroy(struct pg_group **group_p)
{
    struct pg_group *group = *group_p;
    if (!group)
        return;
    *group_p = NULL;
    loop_source_remove(group->options.pg->loop, turn, group);
    loop_timer_destroy(&group->waited);
    for (unsigned i = 0; i < group->options.writers; i++)
        if (group->batches[i])
            group->batches[i]->group = NULL;
    free(group->batches);
    free(group->items);
    free(group);
}

enum err pg_group_add(struct pg_group *group, void *item)
{
    if (group->count >= group->options.waiting_max)
        return ERR_OVERLOADED;
    grow(group, group->count + 1);
    group->items[(group->head + group->count++) % group->size] = item;
    return ERR_OK;
}

void pg_group_yield(struct pg_group *group, const struct pg_group *first, unsigned enough,
                    int64_t wait_ms)
{
    group->first = first;
    group->enough = enough;
    group->wait_ms = wait_ms;
    group->waited = loop_timer_new(group->options.pg->loop, on_waited, group);
}

size_t pg_group_pending(const struct pg_group *group)
{
    return group->count + group->in_flight;
}
