/* Latencies in microseconds, in log-linear buckets: an error below 1 %, whatever their count. */
#ifndef MCPBUS_TESTS_BENCH_HISTOGRAM_H
#define MCPBUS_TESTS_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_LINEAR 128
#define HISTOGRAM_OCTAVES 32

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_LINEAR * HISTOGRAM_OCTAVES];
};

static inline unsigned histogram_bucket(uint64_t us)
{
    unsigned shift = 0;

    while (us >> shift >= (uint64_t)HISTOGRAM_LINEAR * 2)
        shift++;
    if (shift > HISTOGRAM_OCTAVES - 2)
        return (unsigned)(HISTOGRAM_LINEAR * HISTOGRAM_OCTAVES - 1);
    return shift * HISTOGRAM_LINEAR + (unsigned)(us >> shift);
}

static inline void histogram_add(struct histogram *h, uint64_t us)
{
    h->count++;
    h->sum += us;
    h->max = us > h->max ? us : h->max;
    h->buckets[histogram_bucket(us)]++;
}

/* The latency below which the part (0 to 1) of all lies; 0 of none. */
static inline uint64_t histogram_at(const struct histogram *h, double part)
{
    uint64_t seen = 0, wanted = (uint64_t)(part * (double)h->count);

    for (unsigned i = 0; i < HISTOGRAM_LINEAR * HISTOGRAM_OCTAVES && h->count > 0; i++) {
        seen += h->buckets[i];
        if (seen > wanted || seen == h->count) {
            unsigned shift = i < 2 * HISTOGRAM_LINEAR ? 0 : i / HISTOGRAM_LINEAR - 1;

            return (uint64_t)(i - shift * HISTOGRAM_LINEAR) << shift;
        }
    }
    return 0;
}

#endif
