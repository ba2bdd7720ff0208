#include "libcommon/metrics.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/mem.h"

enum { METRICS_MAX = 2048, COLLECTORS_MAX = 16 };

/* From a statement's time to that of a long job. */
static const double bounds_ms[] = {0.1,  0.25,  0.5,   1,     2.5,    5,      10,
                                   25,   50,    100,   250,   500,    1000,   2500,
                                   5000, 10000, 30000, 60000, 300000, 1800000};
enum { BOUNDS = sizeof bounds_ms / sizeof *bounds_ms };

struct metric {
    const char *name, *labels, *help, *type;
    int64_t value;
    bool is_real;
    double real; /* a sum, or a value with a fraction */
    int64_t *buckets;
};

struct collector {
    void (*fn)(void *arg);
    void *arg;
};

static struct metric *metrics[METRICS_MAX];
static size_t metric_count;
static int64_t overflow_buckets[BOUNDS + 1];
static struct metric overflow = {.buckets = overflow_buckets}; /* when the table is full */
static struct collector collectors[COLLECTORS_MAX];
static size_t collector_count;

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
    if (strcmp(type, "histogram") == 0)
        metric->buckets = mem_alloc((BOUNDS + 1) * sizeof *metric->buckets);
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

static size_t slot_of(const struct metric_set *set, const void *key)
{
    size_t at = ((uintptr_t)key >> 3) * 0x9e3779b1u % METRIC_SET_SLOTS;
    while (set->slots[at].key && set->slots[at].key != key)
        at = (at + 1) % METRIC_SET_SLOTS;
    return at;
}

static struct metric *by(struct metric_set *set, const void *key, const char *name,
                         const char *label, const char *value, const char *help, const char *type)
{
    static const char other;
    char labels[160];
    size_t at = slot_of(set, key ? key : &other);
    if (set->slots[at].key)
        return set->slots[at].metric;
    if (!key || set->count >= METRIC_SET_MAX) {
        key = &other;
        value = "other";
        at = slot_of(set, key);
    }
    if (!set->slots[at].key) {
        snprintf(labels, sizeof labels, "%s=\"%s\"", label, value);
        set->slots[at].key = key;
        set->slots[at].metric = metric_make(name, labels, help, type);
        set->count++;
    }
    return set->slots[at].metric;
}

struct metric *metric_counter_by(struct metric_set *set, const void *key, const char *name,
                                 const char *label, const char *value, const char *help)
{
    return by(set, key, name, label, value, help, "counter");
}

struct metric *metric_histogram_by(struct metric_set *set, const void *key, const char *name,
                                   const char *label, const char *value, const char *help)
{
    return by(set, key, name, label, value, help, "histogram");
}

void metric_add(struct metric *metric, int64_t n)
{
    metric->value += n;
}

void metric_set(struct metric *metric, int64_t value)
{
    metric->value = value;
}

void metric_set_seconds(struct metric *metric, double seconds)
{
    metric->is_real = true;
    metric->real = seconds;
}

void metric_observe_ms(struct metric *metric, double ms)
{
    size_t i = 0;
    while (i < BOUNDS && ms > bounds_ms[i])
        i++;
    metric->buckets[i]++;
    metric->real += ms;
    metric->value++;
}

int64_t metric_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void metric_observe_since(struct metric *metric, int64_t start_us)
{
    metric_observe_ms(metric, (double)(metric_now_us() - start_us) / 1000);
}

void metrics_on_write(void (*fn)(void *arg), void *arg)
{
    if (collector_count < COLLECTORS_MAX)
        collectors[collector_count++] = (struct collector){fn, arg};
}

void metrics_off_write(void (*fn)(void *arg), void *arg)
{
    for (size_t i = 0; i < collector_count; i++)
        if (collectors[i].fn == fn && collectors[i].arg == arg) {
            memmove(&collectors[i], &collectors[i + 1],
                    (collector_count - i - 1) * sizeof collectors[0]);
            collector_count--;
            return;
        }
}

static void write_histogram(const struct metric *m, struct buf *out)
{
    const char *labels = m->labels ? m->labels : "", *comma = m->labels ? "," : "";
    int64_t sum = 0;
    for (size_t i = 0; i < BOUNDS; i++) {
        sum += m->buckets[i];
        buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %lld\n", m->name, labels, comma,
                   bounds_ms[i] / 1000, (long long)sum);
    }
    buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", m->name, labels, comma,
               (long long)m->value);
    const char *open = m->labels ? "{" : "", *close = m->labels ? "}" : "";
    buf_printf(out, "%s_sum%s%s%s %.6f\n", m->name, open, labels, close, m->real / 1000);
    buf_printf(out, "%s_count%s%s%s %lld\n", m->name, open, labels, close, (long long)m->value);
}

static void write_one(const struct metric *m, struct buf *out)
{
    const char *open = m->labels ? "{" : "", *close = m->labels ? "}" : "";
    const char *labels = m->labels ? m->labels : "";
    if (m->buckets)
        write_histogram(m, out);
    else if (m->is_real)
        buf_printf(out, "%s%s%s%s %.6f\n", m->name, open, labels, close, m->real);
    else
        buf_printf(out, "%s%s%s%s %lld\n", m->name, open, labels, close, (long long)m->value);
}

/* The text form wants all lines of one name together. */
void metrics_write(struct buf *out)
{
    for (size_t i = 0; i < collector_count; i++)
        collectors[i].fn(collectors[i].arg);
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
