#include "services/monitor/shapes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/js.h"

enum { MINUTE_S = 60, STEP_S = 10, HALVINGS = 60, POINTS_MAX = 64 };
/* Milliseconds, or jobs: what is more is no number of ours, and would not fit an integer. */
#define NUMBER_MAX 1e15

json_t *shape_rates(const json_t *points, int64_t now)
{
    static const char *const names[] = {"submitted", "completed", "failed"};
    int64_t from = now - now % STEP_S - MINUTE_S;
    double seconds = (double)(now - from);
    json_t *rates = json_object();
    for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++) {
        double sum = 0;
        size_t i;
        json_t *point;
        json_array_foreach(points, i, point)
        {
            if (js_int(point, "at", 0) >= from)
                sum += (double)js_int(point, names[n], 0);
        }
        json_object_set_new(rates, names[n], json_real(round(sum / seconds * 1000) / 1000));
    }
    return rates;
}

/* How long jobs took, as far as three percentiles tell it. */
struct part {
    double weight, p50, p95, p99;
};

/* The share of them up to `x`: straight lines between the points that are known. */
static double share(const struct part *part, double x)
{
    const double at[] = {0, part->p50, part->p95, part->p99}, up_to[] = {0, 0.5, 0.95, 0.99};
    if (x >= part->p99)
        return 1;
    for (int i = 3; i > 0; i--)
        if (x >= at[i - 1])
            return up_to[i - 1] + (up_to[i] - up_to[i - 1]) * (x - at[i - 1]) / (at[i] - at[i - 1]);
    return 0;
}

static double quantile(const struct part *parts, size_t count, double q)
{
    double low = 0, high = 0, all = 0;
    for (size_t i = 0; i < count; i++) {
        high = fmax(high, parts[i].p99);
        all += parts[i].weight;
    }
    for (int n = 0; n < HALVINGS && high - low > 0.01; n++) {
        double middle = (low + high) / 2, sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += parts[i].weight * share(&parts[i], middle);
        if (sum / all >= q)
            high = middle;
        else
            low = middle;
    }
    return high;
}

static double number(const json_t *object, const char *key)
{
    double value = json_number_value(json_object_get(object, key));
    return value > 0 ? fmin(value, NUMBER_MAX) : 0;
}

static size_t parts_of(const json_t *points, const char *name, struct part ret_parts[POINTS_MAX])
{
    size_t i, count = 0;
    json_t *point;
    json_array_foreach(points, i, point)
    {
        const json_t *known = json_object_get(point, name);
        if (!json_is_object(known) || count == POINTS_MAX)
            continue;
        double ended = number(point, "completed") + number(point, "failed");
        struct part part = {ended > 1 ? ended : 1, number(known, "p50"), number(known, "p95"),
                            number(known, "p99")};
        part.p95 = fmax(part.p95, part.p50);
        part.p99 = fmax(part.p99, part.p95);
        ret_parts[count++] = part;
    }
    return count;
}

json_t *shape_latency(const json_t *points)
{
    static const char *const names[] = {"wait", "run", "total"};
    json_t *latency = json_object();
    for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++) {
        struct part parts[POINTS_MAX];
        size_t count = parts_of(points, names[n], parts);
        json_t *one = json_null();
        if (count)
            one = json_pack("{s:I, s:I, s:I}", "p50",
                            (json_int_t)llround(quantile(parts, count, 0.5)), "p95",
                            (json_int_t)llround(quantile(parts, count, 0.95)), "p99",
                            (json_int_t)llround(quantile(parts, count, 0.99)));
        json_object_set_new(latency, names[n], one);
    }
    return latency;
}

bool shape_epoch(const char *text, double *ret_seconds)
{
    struct tm utc = {0};
    char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &utc) : NULL;
    double part = 0, unit = 0.1;
    if (!rest)
        return false;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
            part += unit * (*rest - '0');
    if (strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0)
        return false;
    *ret_seconds = (double)timegm(&utc) + part;
    return true;
}
