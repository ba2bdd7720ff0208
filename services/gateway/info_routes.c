#include "services/gateway/gateway.h"

#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/metrics.h"

enum { METRICS_MAX_BYTES = 4 << 20, REPLICAS_MAX = 64 };

void route_root(struct call *call)
{
    json_t *endpoints = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}",
        "health", "GET /health", "scopes", "GET /auth/scopes", "begin_sign_in", "POST /auth/scopes",
        "callback", "GET /auth/callback", "auth_status", "GET /auth/status", "login",
        "POST /auth/login", "logout", "DELETE /auth/logout", "me", "GET /me", "forget_me",
        "DELETE /me", "run", "POST /run", "result", "GET /result/{job_id}", "jobs", "GET /jobs",
        "events", "GET /jobs/{job_id}/events", "cancel", "POST /jobs/{job_id}/cancel", "approve",
        "POST /jobs/{job_id}/approve", "deny", "POST /jobs/{job_id}/deny", "metrics",
        "GET /metrics", "docs", "GET /docs", "app", "GET /app", "openapi", "GET /openapi.json");
    call_json(call, 200,
              json_pack("{s:s, s:s, s:o}", "message", "mcpbus API", "version", MCPBUS_VERSION,
                        "endpoints", endpoints));
}

void route_chat(struct call *call)
{
    call_detail(call, 410,
                "The chat endpoints have been removed: POST /run starts a job, "
                "GET /result/{job_id} gives its result");
}

void gateway_gauges(void *arg)
{
    const struct gateway *gateway = arg;
    static const char *const services[] = {"auth", "jobs", "worker", "gateway"};
    static const char *const labels[] = {"service=\"auth\"", "service=\"jobs\"",
                                         "service=\"worker\"", "service=\"gateway\""};
    uint64_t instances[REPLICAS_MAX];
    metric_set(metric_gauge("mcpbus_http_requests_active", NULL,
                            "HTTP requests being received, handled or answered, streams included"),
               (int64_t)http_server_active(gateway->http));
    metric_set(metric_gauge("mcpbus_event_streams", NULL, "Open event streams"),
               (int64_t)events_count(gateway->events));
    metric_set(metric_gauge("mcpbus_revocations_fresh", NULL,
                            "1 when the list of ended tokens is up to date"),
               revocations_fresh(gateway->revocations));
    for (size_t i = 0; i < sizeof(services) / sizeof(*services); i++)
        metric_set(metric_gauge("mcpbus_replicas", labels[i], "Replicas that the brokers know"),
                   (int64_t)bus_peers(gateway->bus, services[i], instances, REPLICAS_MAX));
}

void route_metrics(struct call *call)
{
    struct buf text;
    buf_init(&text, METRICS_MAX_BYTES);
    metrics_write(&text);
    if (buf_check(&text) == ERR_OK)
        http_respond(call_request(call), 200, "text/plain; version=0.0.4; charset=utf-8",
                     buf_text(&text), text.len, NULL);
    else
        call_error(call, ERR_INTERNAL, err_text(ERR_INTERNAL), 0);
    buf_fini(&text);
}
