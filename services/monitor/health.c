/* GET /healthcheck, GET /metrics: open to all, as Flower's are. */
#include "libcommon/metrics.h"
#include "services/monitor/monitor.h"

enum { METRICS_MAX_BYTES = 4 << 20 };

void route_healthcheck(struct call *call)
{
    http_respond(call_request(call), 200, "text/plain; charset=utf-8", "OK", 2, NULL);
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
        call_detail(call, 500, "the metrics are too many");
    buf_fini(&text);
}
