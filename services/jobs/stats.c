#include "services/jobs/stats.h"

#include <inttypes.h>
#include <string.h>

#include "libcommon/js.h"

enum { STEPS = 4 /* of a doubling */, DIGITS_MAX = 19 };
#define TOKENS_MAX ((int64_t)1 << 40)
#define COST_MAX 1e6

static int64_t tokens(const json_t *usage, const char *key)
{
    int64_t n = js_int(usage, key, 0);
    return n < 0 ? 0 : n < TOKENS_MAX ? n : TOKENS_MAX;
}

struct stats_used stats_used_of(const json_t *token_usage)
{
    double cost = json_number_value(json_object_get(token_usage, "cost"));
    return (struct stats_used){
        .input_tokens = tokens(token_usage, "input_tokens"),
        .output_tokens = tokens(token_usage, "output_tokens"),
        .cost_micro = cost > 0 ? (int64_t)((cost < COST_MAX ? cost : COST_MAX) * 1e6 + 0.5) : 0,
    };
}

double stats_bucket_begin(size_t bucket)
{
    static const double roots[STEPS] = {1, 1.189207115002721, 1.4142135623730951,
                                        1.681792830507429};
    if (!bucket)
        return 0;
    return STATS_FIRST_US * roots[(bucket - 1) % STEPS] *
           (double)((uint64_t)1 << (bucket - 1) / STEPS);
}

/* From the highest bit, and the next ones against the roots of two; no logarithm for each job. */
size_t stats_bucket(int64_t us)
{
    static const uint32_t roots[STEPS - 1] = {77936, 92682, 110218}; /* 2^(n/4), times 2^16 */
    if (us < STATS_FIRST_US)
        return 0;
    unsigned bit = 63 - (unsigned)__builtin_clzll((uint64_t)us);
    uint64_t mantissa = bit >= 16 ? (uint64_t)us >> (bit - 16) : (uint64_t)us << (16 - bit);
    size_t bucket = 1 + STEPS * (size_t)(bit - (unsigned)__builtin_ctz(STATS_FIRST_US));
    for (size_t i = 0; i < STEPS - 1; i++)
        bucket += mantissa >= roots[i];
    return bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1;
}

void stats_time(struct stats_times *times, int64_t us)
{
    if (us >= 0)
        times->n[stats_bucket(us)]++;
}

void stats_used(struct stats *stats, const struct stats_used *used)
{
    stats->input_tokens += used->input_tokens;
    stats->output_tokens += used->output_tokens;
    stats->cost_micro += used->cost_micro;
}

bool stats_times_empty(const struct stats_times *times)
{
    for (size_t i = 0; i < STATS_BUCKETS; i++)
        if (times->n[i])
            return false;
    return true;
}

double stats_percentile(const struct stats_times *times, double share)
{
    double all = 0, before = 0;
    for (size_t i = 0; i < STATS_BUCKETS; i++)
        all += (double)times->n[i];
    for (size_t i = 0; i < STATS_BUCKETS; i++) {
        double here = (double)times->n[i];
        if (here <= 0 || before + here < share * all) {
            before += here;
            continue;
        }
        double begin = stats_bucket_begin(i);
        double end = i + 1 < STATS_BUCKETS ? stats_bucket_begin(i + 1) : begin;
        return i ? (begin + (end - begin) * (share * all - before) / here) / 1000 : 0;
    }
    return 0;
}

void stats_times_write(const struct stats_times *times, struct buf *out)
{
    size_t count = STATS_BUCKETS;
    while (count && !times->n[count - 1])
        count--;
    buf_add_char(out, '{');
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%" PRId64, i ? "," : "", times->n[i]);
    buf_add_char(out, '}');
}

/* A month of statistics has a million of these numbers. */
static const char *read_count(const char *at, int64_t *ret_n)
{
    const char *begin = at;
    uint64_t n = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (uint64_t)(*at - '0');
    *ret_n = at - begin <= DIGITS_MAX && n <= INT64_MAX ? (int64_t)n : 0;
    while (*at && *at != ',')
        at++;
    return *at ? at + 1 : at;
}

void stats_times_read(struct stats_times *ret_times, const char *text)
{
    memset(ret_times, 0, sizeof *ret_times);
    const char *at = text && *text == '{' ? text + 1 : "";
    for (size_t bucket = 0; *at && bucket < STATS_BUCKETS; bucket++)
        at = read_count(at, &ret_times->n[bucket]);
}
