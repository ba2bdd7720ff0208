/* What a service tells whoever watches it (Kubernetes' probes, Compose's health checks, Prometheus)
 * on an HTTP port of its own: GET /healthz answers 200 as long as the loop turns; GET /readyz 200
 * when the service can do its work, else 503 and why not; GET /metrics Prometheus' text. Nothing
 * that it says is a secret, and nothing can be changed by it. Loop's thread only. */
#ifndef MCPBUS_SERVICE_HEALTH_H
#define MCPBUS_SERVICE_HEALTH_H

#include "libcommon/err.h"
#include "libcommon/loop.h"

struct service_health;

struct service_health_options {
    struct loop *loop;
    const char *address; /* an IP address */
    int port;            /* 0: a free one */
    /* NULL when the service is ready, else why it isn't: a literal without quotes. */
    const char *(*problem)(void *arg);
    void *arg;
};

/* Listens. ERR_CONFLICT: the port is taken; ERR_INTERNAL otherwise. */
MUST_CHECK enum err service_health_new(const struct service_health_options *options,
                                       struct service_health **ret_health);
int service_health_port(const struct service_health *health);
void service_health_destroy(struct service_health **health_p);

#endif
