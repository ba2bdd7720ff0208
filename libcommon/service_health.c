#include "libcommon/service_health.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/http_server.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"

enum {
    BODY_MAX_BYTES = 1024,
    CONNECTIONS_MAX = 64,
    RECEIVE_MS = 5000,
    ANSWER_MS = 5000,
    METRICS_MAX_BYTES = 4 << 20
};

struct service_health {
    struct service_health_options options;
    struct http_server *http;
};

static void respond(struct http_request *request, int status, const char *text)
{
    static const struct http_header headers[] = {{"Cache-Control", "no-store"}, {NULL, NULL}};
    http_respond(request, status, "application/json", text, strlen(text), headers);
}

static void respond_ready(const struct service_health *health, struct http_request *request)
{
    const char *problem = health->options.problem(health->options.arg);
    if (!problem) {
        respond(request, 200, "{\"status\": \"ready\"}\n");
        return;
    }
    AUTOFREE char *text = mem_printf("{\"status\": \"not ready\", \"detail\": \"%s\"}\n", problem);
    respond(request, 503, text);
}

static void respond_metrics(struct http_request *request)
{
    struct buf text;
    buf_init(&text, METRICS_MAX_BYTES);
    metrics_write(&text);
    http_respond_buf(request, 200, "text/plain; version=0.0.4; charset=utf-8", &text, NULL);
    buf_fini(&text);
}

static void on_request(void *arg, struct http_request *request)
{
    const char *path = http_request_path(request);
    if (strcmp(http_request_method(request), "GET") != 0)
        respond(request, 405, "{\"detail\": \"Method Not Allowed\"}\n");
    else if (strcmp(path, "/healthz") == 0)
        respond(request, 200, "{\"status\": \"alive\"}\n");
    else if (strcmp(path, "/readyz") == 0)
        respond_ready(arg, request);
    else if (strcmp(path, "/metrics") == 0)
        respond_metrics(request);
    else
        respond(request, 404, "{\"detail\": \"Not Found\"}\n");
}

enum err service_health_new(const struct service_health_options *options,
                            struct service_health **ret_health)
{
    struct service_health *health = mem_alloc(sizeof *health);
    health->options = *options;
    struct http_server_options http = {.address = options->address,
                                       .port = options->port,
                                       .body_max = BODY_MAX_BYTES,
                                       .connections_max = CONNECTIONS_MAX,
                                       .streams_max = 1,
                                       .receive_timeout_ms = RECEIVE_MS,
                                       .answer_timeout_ms = ANSWER_MS,
                                       .on_request = on_request,
                                       .arg = health};
    enum err err = http_server_new(options->loop, &http, &health->http);
    if (err)
        free(health);
    else
        *ret_health = health;
    return err;
}

int service_health_port(const struct service_health *health)
{
    return http_server_port(health->http);
}

void service_health_destroy(struct service_health **health_p)
{
    struct service_health *health = *health_p;
    if (!health)
        return;
    *health_p = NULL;
    http_server_destroy(&health->http);
    free(health);
}
