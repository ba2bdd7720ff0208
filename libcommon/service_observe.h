/* What a service tells of itself to those who watch it, besides its own metrics: the process's
 * (CPU, memory, descriptors), how late its loop is, what was built; and the exporter of its spans.
 * Loop's thread only. */
#ifndef MCPBUS_SERVICE_OBSERVE_H
#define MCPBUS_SERVICE_OBSERVE_H

#include "libcommon/err.h"
#include "libcommon/http_client.h"
#include "libcommon/loop.h"

struct service_observe;

struct service_observe_options {
    struct loop *loop;
    const char *name; /* of the service */
    /* OTEL_…; without an endpoint no span is made. Borrowed. */
    const char *endpoint, *headers, *service, *sampler, *sampler_arg;
    struct http_client_options http;
};

/* ERR_INVALID: a setting, said on stderr. */
MUST_CHECK enum err service_observe_new(const struct service_observe_options *options,
                                        struct service_observe **ret_observe);
/* Sends the last spans, within two seconds. */
void service_observe_destroy(struct service_observe **observe_p);

#endif
