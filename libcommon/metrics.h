/* Counters, gauges and histograms in Prometheus' text form. Not thread-safe: the loop's thread.
 * Names and labels are literals; a metric is made once and lives as long as the process. */
#ifndef MCPBUS_METRICS_H
#define MCPBUS_METRICS_H

#include <stdint.h>

#include "libcommon/buf.h"

struct metric;

/* `labels` is the text within the braces, `method="GET"`, or NULL. The same name and labels give
 * the same metric; help and type are written once for each name. At most 1,024 metrics. */
struct metric *metric_counter(const char *name, const char *labels, const char *help);
struct metric *metric_gauge(const char *name, const char *labels, const char *help);
struct metric *metric_histogram(const char *name, const char *labels,
                                const char *help); /* seconds */
void metric_add(struct metric *metric, int64_t n);
void metric_set(struct metric *metric, int64_t value);
void metric_observe_ms(struct metric *metric, double ms);
void metrics_write(struct buf *out);

#endif
