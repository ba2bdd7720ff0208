#include "services/gateway/gateway.h"

#include <time.h>

#include "libcommon/mem.h"
#include "libcommon/metrics.h"

enum { ROUTES_MAX = 32, STATUSES = 17 };

static const int statuses[STATUSES] = {200, 204, 400, 401, 403, 404, 405, 408, 409,
                                       410, 413, 422, 429, 500, 502, 503, 504};

/* The last row is for requests that have no route, the last column for other statuses. */
struct http_metrics {
    struct metric *requests[ROUTES_MAX + 1][STATUSES + 1];
    struct metric *durations[ROUTES_MAX + 1];
};

struct http_metrics *http_metrics_new(void)
{
    return mem_alloc(sizeof(struct http_metrics));
}

void http_metrics_destroy(struct http_metrics **metrics_p)
{
    free(*metrics_p);
    *metrics_p = NULL;
}

double clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static struct metric *requests_metric(const struct route *route, int status)
{
    AUTOFREE char *labels =
        mem_printf("method=\"%s\",route=\"%s\",status=\"%d\"", route ? route->http.method : "-",
                   route ? route->http.pattern : "-", status);
    return metric_counter("mcpbus_http_requests_total", labels,
                          "HTTP requests by route, method and status");
}

static struct metric *duration_metric(const struct route *route)
{
    AUTOFREE char *labels =
        mem_printf("method=\"%s\",route=\"%s\"", route ? route->http.method : "-",
                   route ? route->http.pattern : "-");
    return metric_histogram("mcpbus_http_request_duration_seconds", labels,
                            "Seconds from a request's headers to its answer");
}

void http_metrics_count(struct http_metrics *metrics, const struct call *call, int status)
{
    const struct route *route = call ? call->route : NULL;
    size_t row = route ? (size_t)(route - routes) : ROUTES_MAX;
    size_t column = 0;
    while (column < STATUSES && statuses[column] != status)
        column++;
    struct metric **requests = &metrics->requests[row][column];
    struct metric **duration = &metrics->durations[row];
    if (!*requests)
        *requests = requests_metric(route, column < STATUSES ? status : 0);
    if (!*duration)
        *duration = duration_metric(route);
    metric_add(*requests, 1);
    if (call)
        metric_observe_ms(*duration, clock_ms() - call->started_ms);
}
