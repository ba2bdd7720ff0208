#include "libcommon/metrics.h"

#include <stdbool.h>
#include <string.h>

#include "libcommon/mem.h"

enum { METRICS_MAX = 1024 };

static const double bounds_ms[] = {0.25, 0.5, 1,   2.5,  5,    10,   25,    50,
                                   100,  250, 500, 1000, 2500, 5000, 10000, 60000};
enum { BOUNDS = sizeof bounds_ms / sizeof *bounds_ms };

struct metric {
    const char *name, *labels, *help, *type;
    int64_t value;
    int64_t buckets[BOUNDS];
    double sum_ms;
    int64_t count;
};

static struct metric *metrics[METRICS_MAX];
static size_t metric_count;
static struct metric overflow; /* where updates go when the table is full */

static bool same(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static struct metric *metric_make(const char *name, const char *labels, const char *help,
                                  const char *type)
{
    for (size_t i = 0; i < metric_count; i++)
        if (same(metrics[i]->name, name) && same(metrics[i]->labels, labels))
            return metrics[i];
    if (metric_count == METRICS_MAX)
        return &overflow;
    struct metric *metric = mem_alloc(sizeof *metric);
    metric->name = mem_strdup(name);
    metric->labels = mem_strdup_opt(labels);
    metric->help = help;
    metric->type = type;
    metrics[metric_count++] = metric;
    return metric;
}

struct metric *metric_counter(const char *name, const char *labels, const char *help)
{
    return metric_make(name, labels, help, "counter");
}

struct metric *metric_gauge(const char *name, const char *labels, const char *help)
{
    return metric_make(name, labels, help, "gauge");
}

struct metric *metric_histogram(const char *name, const char *labels, const char *help)
{
    return metric_make(name, labels, help, "histogram");
}

void metric_add(struct metric *metric, int64_t n)
{
    metric->value += n;
}

void metric_set(struct metric *metric, int64_t value)
{
    metric->value = value;
}

void metric_observe_ms(struct metric *metric, double ms)
{
    for (size_t i = 0; i < BOUNDS; i++)
        if (ms <= bounds_ms[i])
            metric->buckets[i]++;
    metric->sum_ms += ms;
    metric->count++;
}

static void write_histogram(const struct metric *m, struct buf *out)
{
    const char *labels = m->labels ? m->labels : "", *comma = m->labels ? "," : "";
    for (size_t i = 0; i < BOUNDS; i++)
        buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %lld\n", m->name, labels, comma,
                   bounds_ms[i] / 1000, (long long)m->buckets[i]);
    buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", m->name, labels, comma,
               (long long)m->count);
    const char *open = m->labels ? "{" : "", *close = m->labels ? "}" : "";
    buf_printf(out, "%s_sum%s%s%s %.6f\n", m->name, open, labels, close, m->sum_ms / 1000);
    buf_printf(out, "%s_count%s%s%s %lld\n", m->name, open, labels, close, (long long)m->count);
}

static void write_one(const struct metric *m, struct buf *out)
{
    if (strcmp(m->type, "histogram") == 0)
        write_histogram(m, out);
    else if (m->labels)
        buf_printf(out, "%s{%s} %lld\n", m->name, m->labels, (long long)m->value);
    else
        buf_printf(out, "%s %lld\n", m->name, (long long)m->value);
}

/* The text form wants all lines of one name together. */
void metrics_write(struct buf *out)
{
    for (size_t i = 0; i < metric_count; i++) {
        bool first = true;
        for (size_t j = 0; j < i && first; j++)
            first = !same(metrics[j]->name, metrics[i]->name);
        if (!first)
            continue;
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metrics[i]->name, metrics[i]->help,
                   metrics[i]->name, metrics[i]->type);
        for (size_t j = i; j < metric_count; j++)
            if (same(metrics[j]->name, metrics[i]->name))
                write_one(metrics[j], out);
    }
}
