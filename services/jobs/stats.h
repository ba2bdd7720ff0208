/* Numbers of what happens to jobs: counts, and how long they took as histograms, from which any
 * percentile can be told afterwards, within a fifth. Plain values, no I/O. */
#ifndef MCPBUS_JOBS_STATS_H
#define MCPBUS_JOBS_STATS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/buf.h"

/* Bucket 0 is below STATS_FIRST_US; each next one ends at the fourth root of two times where it
 * begins; the last one (25 days) has all that is longer. */
enum { STATS_BUCKETS = 142, STATS_FIRST_US = 64 };

struct stats_times {
    int64_t n[STATS_BUCKETS];
};

struct stats {
    int64_t submitted, completed, failed, cancelled;
    int64_t retried; /* attempts that ended in an error and come again */
    int64_t lost;    /* attempts that were lost with their worker */
    int64_t input_tokens, output_tokens, cost_micro;
    /* From submission to the first run, from there to the end, and both. */
    struct stats_times wait, run, total;
    bool any; /* is anything of this not 0? */
};

/* Of a job that ended. */
struct stats_used {
    int64_t input_tokens, output_tokens, cost_micro;
};

/* From a job's token_usage, whoever wrote that: what isn't a number, or too large to be true, is
 * nothing. */
struct stats_used stats_used_of(const json_t *token_usage);

size_t stats_bucket(int64_t us);
/* Where a bucket begins, in microseconds. */
double stats_bucket_begin(size_t bucket);
/* A time below 0 is not known, and not counted. */
void stats_time(struct stats_times *times, int64_t us);
void stats_used(struct stats *stats, const struct stats_used *used);
bool stats_times_empty(const struct stats_times *times);
/* The milliseconds that `share` (0 to 1) of the jobs didn't exceed; 0 when there are none. */
double stats_percentile(const struct stats_times *times, double share);

/* As text of a PostgreSQL array, without the zeros at its end, and back: what isn't a count is 0.
 */
void stats_times_write(const struct stats_times *times, struct buf *out);
void stats_times_read(struct stats_times *ret_times, const char *text);

#endif
