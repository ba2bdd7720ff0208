#include "services/jobs/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/jobs/store_stats.h"

enum {
    BATCH_MAX = 256,
    WAITING_MAX = 20000,
    STATEMENTS_MAX = 1000,
    YIELD_ENOUGH = 64,
    YIELD_MS = 5,
    LATER_MS = 100, /* nobody who waits for the start waits for these connections */
};

/* The batches join a few ids with tables of any size, which may have been empty, or their
 * statistics old, when the statement was planned. Only a look-up of each id is right, then and
 * later: a bitmap scan can be nothing else, while a plain index scan may walk the whole index. So
 * no statement joins two lists either. */
static const char writer_setup[] = "SELECT set_config('enable_seqscan', 'off', false), "
                                   "set_config('enable_indexscan', 'off', false),"
                                   " set_config('enable_indexonlyscan', 'off', false), "
                                   "set_config('enable_hashjoin', 'off', false),"
                                   " set_config('enable_mergejoin', 'off', false),"
                                   " set_config('plan_cache_mode', 'force_generic_plan', false)";

/* Reads, and what deletes: in the order of an index, from a place in it on, whatever the planner
 * thinks of the tables' sizes. */
static const char index_setup[] = "SELECT set_config('enable_seqscan', 'off', false), "
                                  "set_config('enable_bitmapscan', 'off', false),"
                                  " set_config('enable_hashjoin', 'off', false), "
                                  "set_config('enable_mergejoin', 'off', false)";

static enum err open_pg(const struct store_options *options, const char *application,
                        unsigned connections, const char *setup, int64_t begin_after_ms,
                        struct pg **ret_pg)
{
    struct pg_options pg = {
        .url = options->url,
        .application = application,
        .connections = connections,
        .waiting_max = STATEMENTS_MAX,
        .setup = setup,
        .allow_unsafe = options->allow_unsafe,
        .begin_after_ms = begin_after_ms,
    };
    return pg_new(options->loop, &pg, ret_pg);
}

enum err store_new(const struct store_options *options, struct store **ret_store)
{
    struct store *store = mem_alloc(sizeof *store);
    store->loop = options->loop;
    store->job_timeout_ms = options->job_timeout_ms;
    snprintf(store->job_timeout, sizeof store->job_timeout, "%" PRId64, options->job_timeout_ms);
    snprintf(store->max_attempts, sizeof store->max_attempts, "%" PRId64, options->max_attempts);
    snprintf(store->approval_timeout, sizeof store->approval_timeout, "%" PRId64,
             options->approval_timeout_ms);
    enum err error = open_pg(options, "mcpbus-jobs", STORE_SUBMITTERS + STORE_WRITERS, writer_setup,
                             0, &store->writers);
    if (!error)
        error = open_pg(options, "mcpbus-jobs-read", 1, index_setup, 0, &store->reader);
    if (!error)
        error = open_pg(options, "mcpbus-jobs-scan", 1, writer_setup, LATER_MS, &store->scanner);
    if (!error)
        error = open_pg(options, "mcpbus-jobs-keep", 1, index_setup, LATER_MS, &store->keeper);
    if (error) {
        store_destroy(&store);
        return error;
    }
    store_stats_init(store);
    store_submit_init(store);
    store_claim_init(store);
    store_append_init(store);
    store_finish_init(store);
    store_park_init(store);
    store_renew_init(store);
    store_webhook_init(store);
    pg_group_yield(store->claims, store->submits, YIELD_ENOUGH, YIELD_MS);
    pg_group_yield(store->finishes, store->submits, YIELD_ENOUGH, YIELD_MS);
    *ret_store = store;
    return ERR_OK;
}

void store_destroy(struct store **store_p)
{
    struct store *store = *store_p;
    if (!store)
        return;
    *store_p = NULL;
    pg_group_destroy(&store->submits);
    pg_group_destroy(&store->submits_more);
    pg_group_destroy(&store->claims);
    pg_group_destroy(&store->appends);
    pg_group_destroy(&store->finishes);
    pg_group_destroy(&store->parks);
    pg_group_destroy(&store->renewals);
    pg_group_destroy(&store->settles);
    pg_destroy(&store->writers);
    pg_destroy(&store->reader);
    pg_destroy(&store->scanner);
    pg_destroy(&store->keeper);
    store_stats_fini(store);
    free(store->counting);
    free(store);
}

bool store_ready(const struct store *store)
{
    return pg_connected(store->writers) && pg_connected(store->reader);
}

const char *store_problem(const struct store *store)
{
    const char *problem = pg_problem(store->writers);
    return *problem ? problem : pg_problem(store->reader);
}

size_t store_pending(const struct store *store)
{
    return pg_group_pending(store->submits) + pg_group_pending(store->submits_more) +
           pg_group_pending(store->claims) + pg_group_pending(store->appends) +
           pg_group_pending(store->finishes) + pg_group_pending(store->parks) +
           pg_group_pending(store->renewals) + pg_group_pending(store->settles) +
           pg_pending(store->reader);
}

struct pg_group *store_group(struct store *store, const struct store_batch *batch)
{
    struct pg_group_options options = {
        .pg = batch->pg ? batch->pg : store->writers,
        .first_connection = batch->pg || batch->submits ? 0 : STORE_SUBMITTERS,
        .writers = batch->pg        ? 1
                   : batch->submits ? STORE_SUBMITTERS
                                    : STORE_WRITERS,
        .batch_max = BATCH_MAX,
        .waiting_max = WAITING_MAX,
        .statement = batch->statement,
        .careful = batch->careful,
        .params = batch->params,
        .timeout_ms = STORE_WRITE_MS,
        .encode = batch->encode,
        .done = batch->done,
        .arg = store,
    };
    return pg_group_new(&options);
}

void store_add(struct buf *array, const char *text)
{
    if (text)
        pg_array_add(array, text, strlen(text));
    else
        pg_array_add_null(array);
}

void store_begin(struct buf *params, int count)
{
    for (int i = 0; i < count; i++)
        pg_array_begin(&params[i]);
}

void store_end(struct buf *params, int count)
{
    for (int i = 0; i < count; i++)
        pg_array_end(&params[i]);
}

void store_copy(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text ? text : "");
}

struct sorting {
    store_id_fn *id_of;
};

static int compare(const void *a, const void *b, void *arg)
{
    const struct sorting *sorting = arg;
    return strcmp(sorting->id_of(*(void *const *)a), sorting->id_of(*(void *const *)b));
}

void **store_sorted(void *const *items, size_t count, store_id_fn *id_of)
{
    struct sorting sorting = {id_of};
    void **sorted = mem_alloc(count * sizeof *sorted);
    memcpy(sorted, items, count * sizeof *sorted);
    qsort_r(sorted, count, sizeof *sorted, compare, &sorting);
    return sorted;
}

ptrdiff_t store_find(void *const *items, size_t count, store_id_fn *id_of, const char *id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(id_of(items[middle]), id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && !strcmp(id_of(items[low]), id) ? (ptrdiff_t)low : -1;
}

struct changes_call {
    struct store *store;
    store_tally_fn *tally;
    store_changes_fn *done;
    void *arg;
};

static void on_changes(void *arg, enum err error, const struct pg_rows *rows)
{
    struct changes_call *call = arg;
    size_t count = 0;
    struct store_change *changes = mem_alloc(pg_rows_count(rows) * sizeof *changes);
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        if (!pg_rows_text(rows, i, 0))
            continue;
        changes[count++] = (struct store_change){
            .job_id = pg_rows_text(rows, i, 0),
            .user_id = pg_rows_text(rows, i, 1),
            .attempt = pg_rows_int(rows, i, 2, 0),
            .queued = pg_rows_bool(rows, i, 3),
            .ended = pg_rows_bool(rows, i, 4),
            .instance = pg_rows_text(rows, i, 5),
        };
    }
    if (!error && call->tally)
        call->tally(call->store, rows);
    call->done(call->arg, error, changes, count);
    free(changes);
    free(call);
}

void store_exec_changes(struct store *store, struct pg *pg, const struct pg_statement *statement,
                        const char *const *values, int count, store_tally_fn *tally,
                        store_changes_fn *done, void *arg)
{
    struct changes_call *call = mem_alloc(sizeof *call);
    *call = (struct changes_call){store, tally, done, arg};
    pg_exec(pg, statement, -1, STORE_WRITE_MS, values, count, on_changes, call);
}
