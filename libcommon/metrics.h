/* Counters, gauges and histograms in Prometheus' text form. Not thread-safe: the loop's thread.
 * A metric is made once and lives as long as the process. Names, labels and help are literals (the
 * reference of metrics is made from them); a label's values come from tables of ours, never from
 * outside, so that there is a bound to them. */
#ifndef MCPBUS_METRICS_H
#define MCPBUS_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "libcommon/buf.h"

struct metric;

/* `labels` is the text within the braces, `method="GET"`, or NULL. The same name and labels give
 * the same metric; help and type are written once for each name. At most 2,048 metrics. A look-up:
 * where it is often done, keep the result, or use the _by form. */
struct metric *metric_counter(const char *name, const char *labels, const char *help);
struct metric *metric_gauge(const char *name, const char *labels, const char *help);
struct metric *metric_histogram(const char *name, const char *labels,
                                const char *help); /* seconds */

/* One of a family that differ in one label: quickly found by `key`, any address that is the value's
 * alone, in the memory that the caller keeps for it (static, zeroed). Beyond METRIC_SET_MAX keys
 * all are counted as "other". */
enum { METRIC_SET_MAX = 96, METRIC_SET_SLOTS = 256 };
struct metric_set {
    size_t count;
    struct {
        const void *key;
        struct metric *metric;
    } slots[METRIC_SET_SLOTS];
};
struct metric *metric_counter_by(struct metric_set *set, const void *key, const char *name,
                                 const char *label, const char *value, const char *help);
struct metric *metric_histogram_by(struct metric_set *set, const void *key, const char *name,
                                   const char *label, const char *value, const char *help);

void metric_add(struct metric *metric, int64_t n);
void metric_set(struct metric *metric, int64_t value);
void metric_set_seconds(struct metric *metric, double seconds); /* with a fraction */
void metric_observe_ms(struct metric *metric, double ms);

/* For metric_observe_since; of CLOCK_MONOTONIC. */
int64_t metric_now_us(void);
void metric_observe_since(struct metric *metric, int64_t start_us);

/* Called before the metrics are written, to set what is only looked at then. At most 16. */
void metrics_on_write(void (*fn)(void *arg), void *arg);
void metrics_off_write(void (*fn)(void *arg), void *arg);
void metrics_write(struct buf *out);

#endif
