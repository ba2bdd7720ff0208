/* The broker's metrics. */
#include "libcommon/metrics.h"
#include "services/broker/internal.h"

enum kind { KIND_REQUEST, KIND_ONE_WAY, KIND_ANSWER, KIND_PART, KIND_CANCEL, KIND_OTHER, KINDS };

static const char *const kind_labels[KINDS] = {"kind=\"request\"", "kind=\"one_way\"",
                                               "kind=\"answer\"",  "kind=\"part\"",
                                               "kind=\"cancel\"",  "kind=\"other\""};

static enum kind kind_of(enum proto_type type, bool one_way)
{
    switch (type) {
    case PROTO_REQUEST:
        return one_way ? KIND_ONE_WAY : KIND_REQUEST;
    case PROTO_FINAL:
        return KIND_ANSWER;
    case PROTO_PARTIAL:
        return KIND_PART;
    case PROTO_CANCEL:
        return KIND_CANCEL;
    default:
        return KIND_OTHER;
    }
}

static struct metric *message_metric(enum kind kind)
{
    return metric_counter("mcpbus_broker_messages_total", kind_labels[kind],
                          "Messages that came in, by kind.");
}

void count_message(enum proto_type type, bool one_way)
{
    static struct metric *metrics[KINDS];
    enum kind kind = kind_of(type, one_way);
    if (!metrics[kind])
        metrics[kind] = message_metric(kind);
    metric_add(metrics[kind], 1);
}

void count_refused(enum err error)
{
    static struct metric_set metrics;
    metric_add(metric_counter_by(&metrics, err_name(error), "mcpbus_broker_refused_total", "error",
                                 err_name(error),
                                 "Requests that the broker has answered itself, by error."),
               1);
}

void count_dropped(void)
{
    static struct metric *metric;
    if (!metric)
        metric = metric_counter("mcpbus_broker_dropped_total", NULL,
                                "One-way messages that found nobody, or no room.");
    metric_add(metric, 1);
}

void count_answered(const struct flight *flight)
{
    static struct metric *metric;
    if (!metric)
        metric = metric_histogram("mcpbus_broker_request_duration_seconds", NULL,
                                  "Requests from being passed on to their answer.");
    metric_observe_since(metric, flight->started_us);
}

static void on_write(void *arg)
{
    const struct broker *broker = arg;
    const struct peer *peer;
    size_t at = 0, serving = 0, bytes = 0;
    while ((peer = map_next(broker->peers, &at))) {
        serving += *peer->service != '\0';
        bytes += peer->out_bytes;
    }
    metric_set(metric_gauge("mcpbus_broker_peers", NULL, "Connected processes."),
               (int64_t)map_count(broker->peers));
    metric_set(metric_gauge("mcpbus_broker_services", NULL, "Connected replicas that serve."),
               (int64_t)serving);
    metric_set(metric_gauge("mcpbus_broker_requests_outstanding", NULL,
                            "Requests that were passed on and not answered yet."),
               (int64_t)map_count(broker->flights));
    metric_set(metric_gauge("mcpbus_broker_messages_waiting", NULL,
                            "Messages that a peer was too slow to take yet."),
               (int64_t)broker->waiting);
    metric_set(metric_gauge("mcpbus_broker_waiting_bytes", NULL, "Their bytes."), (int64_t)bytes);
}

void counts_begin(struct broker *broker)
{
    for (int kind = 0; kind < KINDS; kind++)
        message_metric((enum kind)kind);
    metric_counter("mcpbus_broker_dropped_total", NULL,
                   "One-way messages that found nobody, or no room.");
    metrics_on_write(on_write, broker);
}

void counts_end(struct broker *broker)
{
    metrics_off_write(on_write, broker);
}
