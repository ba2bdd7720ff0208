/* The statistics (migrations/0013_stats.sql): what was counted here goes there about once a second,
 * by a connection that no job waits for. */
#include "services/jobs/store_stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/js_write.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"

enum {
    FLUSH_MS = 1000,
    RETRY_MS = 5000,
    DEPTH_MS = 5000, /* a queue in which nothing happens is told of as often */
    TRIM_MS = 60000,
    READ_MAX_BYTES = 4 * 1024 * 1024,
    TIMES_MAX_BYTES = 4096,
    COLUMNS_OF_COUNTS = 9,
};

/* Several replicas add to the same two rows, which they lock in the same order. A batch whose
 * number is not above the last one that came in from its source is there already. */
/* clang-format off */
#define ADDED(column) \
    column " = ARRAY (SELECT coalesce(a, 0) + coalesce(b, 0) FROM unnest(s." column ", excluded." column ")" \
    "  WITH ORDINALITY AS t (a, b, n) ORDER BY n)"

static const struct pg_statement flush_statement = {
    "stats_flush",
    "WITH turn AS ("
    " INSERT INTO job_stats_sources AS t VALUES ($1, $2::bigint, now())"
    " ON CONFLICT (source) DO UPDATE SET seq = excluded.seq, at = excluded.at"
    "  WHERE t.seq < excluded.seq RETURNING 1"
    ") INSERT INTO job_stats AS s SELECT step,"
    "  to_timestamp(floor(date_part('epoch', now()) / step) * step),"
    "  $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint, $8::bigint, $9::bigint, $10::bigint,"
    "  $11::bigint, $12::bigint, $13::bigint, $14::bigint[], $15::bigint[], $16::bigint[]"
    " FROM unnest('{10,600}'::integer[]) AS step WHERE EXISTS (SELECT FROM turn) ORDER BY step"
    " ON CONFLICT (step, at) DO UPDATE SET submitted = s.submitted + excluded.submitted,"
    "  completed = s.completed + excluded.completed, failed = s.failed + excluded.failed,"
    "  cancelled = s.cancelled + excluded.cancelled, retried = s.retried + excluded.retried,"
    "  lost = s.lost + excluded.lost, queued = coalesce(excluded.queued, s.queued),"
    "  running = coalesce(excluded.running, s.running),"
    "  input_tokens = s.input_tokens + excluded.input_tokens,"
    "  output_tokens = s.output_tokens + excluded.output_tokens,"
    "  cost_micro = s.cost_micro + excluded.cost_micro, " ADDED("wait_times") ", "
    ADDED("run_times") ", " ADDED("total_times"),
    true};

/* What a clock that was wrong has left ahead of now goes too. */
static const struct pg_statement trim_statement = {
    "stats_trim",
    "WITH old AS ("
    " DELETE FROM job_stats WHERE at > now() + interval '1 hour' OR at < now()"
    "  - CASE step WHEN 600 THEN interval '30 days' ELSE interval '6 hours' END"
    ") DELETE FROM job_stats_sources WHERE at < now() - interval '1 hour'",
    true};

static const struct pg_statement read_statement = {
    "stats_read",
    "SELECT date_part('epoch', now())::bigint, date_part('epoch', s.at)::bigint, submitted, completed,"
    " failed, cancelled, retried, lost, input_tokens, output_tokens, cost_micro, queued, running,"
    " wait_times, run_times, total_times FROM (SELECT 1) one LEFT JOIN job_stats s ON s.step = $1::integer"
    "  AND s.at > now() - ($1::integer + $2::integer) * interval '1 second'"
    " ORDER BY s.at LIMIT 5000",
    true};
/* clang-format on */

struct store_stats {
    struct store *store;
    /* `told` is on its way, or could not be sent yet; what happens in the meantime is in `now`. */
    struct stats now, told;
    bool has_told, in_flight, trimming;
    uint64_t source;
    int64_t seq, next_at, trim_at;
    int64_t queued, running; /* −1: not looked at */
    int64_t queued_told, running_told, depth_at;
};

void store_stats_init(struct store *store)
{
    store->stats = mem_alloc(sizeof *store->stats);
    store->stats->store = store;
    store->stats->source = crypto_random_u64();
    store->stats->queued = store->stats->running = -1;
}

void store_stats_fini(struct store *store)
{
    free(store->stats);
    store->stats = NULL;
}

struct stats *store_stats_now(struct store *store)
{
    store->stats->now.any = true;
    return &store->stats->now;
}

static double ms_of(int64_t us)
{
    return (double)us / 1000;
}

void store_stats_waited(struct store *store, int64_t us)
{
    static struct metric *metric;
    if (!metric)
        metric = metric_histogram("mcpbus_job_wait_seconds", NULL,
                                  "Jobs from their submission to the first attempt.");
    stats_time(&store_stats_now(store)->wait, us);
    if (us >= 0)
        metric_observe_ms(metric, ms_of(us));
}

static void ended(struct stats *stats, int64_t run_us, int64_t total_us)
{
    static struct metric *run, *total;
    if (!run) {
        run = metric_histogram("mcpbus_job_run_seconds", NULL,
                               "Jobs from the first attempt to their end.");
        total = metric_histogram("mcpbus_job_duration_seconds", NULL,
                                 "Jobs from their submission to their end.");
    }
    stats_time(&stats->run, run_us);
    stats_time(&stats->total, total_us);
    if (run_us >= 0)
        metric_observe_ms(run, ms_of(run_us));
    if (total_us >= 0)
        metric_observe_ms(total, ms_of(total_us));
}

/* Plain loops: this reads two numbers of each job. NULL: there is none. */
static const char *next_number(const char *at, int64_t *ret_n)
{
    while (*at && *at != '-' && (*at < '0' || *at > '9'))
        at++;
    if (!*at)
        return NULL;
    bool negative = *at == '-';
    uint64_t n = 0;
    for (at += negative; *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (uint64_t)(*at - '0');
    *ret_n = negative || n > INT64_MAX ? -1 : (int64_t)n;
    return at;
}

void store_stats_ends(struct store *store, const char *pairs)
{
    struct stats *stats = store_stats_now(store);
    int64_t run, total;
    while (pairs && (pairs = next_number(pairs, &run)) && (pairs = next_number(pairs, &total)))
        ended(stats, run, total);
}

void store_stats_ends_json(struct store *store, const char *text, size_t len)
{
    AUTOJSON json_t *ends = NULL;
    if (!text || js_parse(text, len, &ends, NULL))
        return;
    struct stats *stats = store_stats_now(store);
    for (size_t i = 0; i < json_array_size(ends); i++) {
        const json_t *end = json_array_get(ends, i);
        struct stats_used used = stats_used_of(json_array_get(end, 2));
        ended(stats, json_integer_value(json_array_get(end, 0)),
              json_integer_value(json_array_get(end, 1)));
        stats_used(stats, &used);
    }
}

void store_stats_depth(struct store *store, int64_t queued, int64_t running)
{
    store->stats->queued = queued;
    store->stats->running = running;
}

/* An empty queue that stays so is not worth a row. */
static bool depth_is_due(const struct store_stats *stats, int64_t now)
{
    if (stats->queued < 0)
        return false;
    if (stats->queued != stats->queued_told || stats->running != stats->running_told)
        return true;
    return stats->queued + stats->running > 0 && now >= stats->depth_at + DEPTH_MS;
}

static void on_trimmed(void *arg, enum err error, const struct pg_rows *rows)
{
    struct store_stats *stats = arg;
    (void)error; /* the next one may do it */
    (void)rows;
    stats->trimming = false;
}

static void trim(struct store_stats *stats, int64_t now)
{
    if (stats->trimming || now < stats->trim_at)
        return;
    stats->trimming = true;
    stats->trim_at = now + TRIM_MS;
    pg_exec(stats->store->keeper, &trim_statement, -1, STORE_WRITE_MS, NULL, 0, on_trimmed, stats);
}

static void on_flushed(void *arg, enum err error, const struct pg_rows *rows)
{
    struct store_stats *stats = arg;
    (void)rows;
    stats->in_flight = false;
    /* Numbers that the database can't add are no reason to stop counting. */
    stats->has_told = error != ERR_OK && error != ERR_INVALID;
    if (!error)
        trim(stats, loop_now(stats->store->loop));
    else
        stats->next_at = loop_now(stats->store->loop) + RETRY_MS;
}

static void send_told(struct store_stats *stats)
{
    const struct stats *told = &stats->told;
    const int64_t numbers[] = {stats->seq,         told->submitted,     told->completed,
                               told->failed,       told->cancelled,     told->retried,
                               told->lost,         stats->queued_told,  stats->running_told,
                               told->input_tokens, told->output_tokens, told->cost_micro};
    enum { NUMBERS = sizeof numbers / sizeof *numbers, VALUES = NUMBERS + 4 };
    const struct stats_times *times[] = {&told->wait, &told->run, &told->total};
    char source[17], texts[NUMBERS][24];
    struct buf arrays[3];
    const char *values[VALUES];
    snprintf(source, sizeof source, "%016" PRIx64, stats->source);
    values[0] = source;
    for (int i = 0; i < NUMBERS; i++) {
        snprintf(texts[i], sizeof texts[i], "%" PRId64, numbers[i]);
        values[1 + i] = numbers[i] < 0 ? NULL : texts[i];
    }
    for (int i = 0; i < 3; i++) {
        buf_init(&arrays[i], TIMES_MAX_BYTES);
        stats_times_write(times[i], &arrays[i]);
        values[1 + NUMBERS + i] = buf_text(&arrays[i]);
    }
    stats->in_flight = true;
    pg_exec(stats->store->keeper, &flush_statement, -1, STORE_WRITE_MS, values, VALUES, on_flushed,
            stats);
    for (int i = 0; i < 3; i++)
        buf_fini(&arrays[i]);
}

void store_stats_flush(struct store *store, bool at_once)
{
    struct store_stats *stats = store->stats;
    int64_t now = loop_now(store->loop);
    if (stats->in_flight || (!at_once && now < stats->next_at) || !pg_connected(store->keeper))
        return;
    if (!stats->has_told) {
        if (!stats->now.any && !depth_is_due(stats, now))
            return;
        stats->told = stats->now;
        memset(&stats->now, 0, sizeof stats->now);
        stats->queued_told = stats->queued;
        stats->running_told = stats->running;
        stats->depth_at = now;
        stats->seq++;
        stats->has_told = true;
    }
    stats->next_at = now + FLUSH_MS;
    send_told(stats);
}

bool store_stats_flushed(const struct store *store)
{
    const struct store_stats *stats = store->stats;
    return !store_ready(store) || (!stats->now.any && !stats->has_told);
}

/* --- reading --- */

struct stats_call {
    store_text_fn *done;
    void *arg;
    int64_t step;
};

static void add_times(struct buf *out, const char *key, const char *text)
{
    static const struct {
        const char *key;
        double share;
    } percentiles[] = {{"{\"p50\":", 0.5}, {",\"p95\":", 0.95}, {",\"p99\":", 0.99}};
    struct stats_times times;
    stats_times_read(&times, text);
    js_add_key(out, key);
    if (stats_times_empty(&times)) {
        buf_add_str(out, "null");
        return;
    }
    for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++)
        buf_printf(out, "%s%.3f", percentiles[i].key,
                   stats_percentile(&times, percentiles[i].share));
    buf_add_char(out, '}');
}

static void add_point(struct buf *out, const struct pg_rows *rows, size_t row)
{
    static const char *const counts[] = {"at",     "submitted",    "completed",
                                         "failed", "cancelled",    "retried",
                                         "lost",   "input_tokens", "output_tokens"};
    static const char *const times[] = {"wait", "run", "total"};
    buf_add_char(out, '{');
    for (int i = 0; i < COLUMNS_OF_COUNTS; i++)
        js_add_member_int(out, counts[i], pg_rows_int(rows, row, 1 + i, 0));
    js_add_key(out, "cost");
    buf_printf(out, "%.6f", (double)pg_rows_int(rows, row, 10, 0) / 1e6);
    for (int i = 0; i < 2; i++) {
        js_add_key(out, i ? "running" : "queued");
        const char *depth = pg_rows_text(rows, row, 11 + i);
        buf_add_str(out, depth ? depth : "null");
    }
    for (int i = 0; i < 3; i++)
        add_times(out, times[i], pg_rows_text(rows, row, 13 + i));
    buf_add_char(out, '}');
}

static void on_read(void *arg, enum err error, const struct pg_rows *rows)
{
    struct stats_call *call = arg;
    struct buf out;
    buf_init(&out, READ_MAX_BYTES);
    if (!error) {
        buf_add_char(&out, '{');
        js_add_member_int(&out, "now", pg_rows_int(rows, 0, 0, 0));
        js_add_member_int(&out, "step", call->step);
        buf_add_str(&out, ",\"points\":[");
    }
    for (size_t i = 0; i < pg_rows_count(rows) && pg_rows_text(rows, i, 1); i++) {
        if (i)
            buf_add_char(&out, ',');
        add_point(&out, rows, i);
    }
    buf_add_str(&out, "]}");
    if (!error)
        error = buf_check(&out);
    call->done(call->arg, error, &out);
    buf_fini(&out);
    free(call);
}

void store_stats_read(struct store *store, int64_t span, int64_t step, int64_t timeout_ms,
                      store_text_fn *done, void *arg)
{
    struct stats_call *call = mem_alloc(sizeof *call);
    *call = (struct stats_call){done, arg, step};
    char texts[2][24];
    snprintf(texts[0], sizeof texts[0], "%" PRId64, step);
    snprintf(texts[1], sizeof texts[1], "%" PRId64, span);
    const char *values[] = {texts[0], texts[1]};
    pg_exec(store->keeper, &read_statement, -1, timeout_ms, values, 2, on_read, call);
}
