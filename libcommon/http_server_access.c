#include "libcommon/http_server_internal.h"

#include <string.h>

/* Refused before the body is there. A small body is read and thrown away, so that the client can
 * read the answer and keep the connection; else the answer goes out now and the connection ends. */
static enum MHD_Result refuse_early(struct http_request *request)
{
    const char *expect = http_request_header(request, "Expect");
    int64_t length = http_request_content_length(request);
    if (!request->close && !expect && length <= DISCARD_MAX)
        return MHD_YES;
    request->close = true;
    return http_response_queue(request);
}

static enum MHD_Result begin(struct http_request *request, const char *method, const char *version)
{
    struct http_server *server = request->server;
    request->head = strcmp(method, "HEAD") == 0;
    strncpy(request->method, method, sizeof(request->method) - 1);
    const char *why = http_request_check(request, version);
    http_request_trace_set(request);
    if (why) {
        request->close = true;
        http_respond_detail(request, 400, why, 0);
        return http_response_queue(request);
    }
    if (server->stopping) {
        http_respond_detail(request, 503, "the service is shutting down", 1);
    } else if (http_request_content_length(request) > (int64_t)server->options.body_max) {
        http_respond_detail(request, 413, "the request body is too large", 0);
    } else if (!server->options.on_headers ||
               server->options.on_headers(server->options.arg, request)) {
        request->phase = PHASE_BODY;
        return MHD_YES;
    }
    return refuse_early(request);
}

static enum MHD_Result receive(struct http_request *request, const char *data, size_t len)
{
    struct http_server *server = request->server;
    if (request->phase == PHASE_BODY) {
        if (server->body_bytes + len > BODIES_MAX)
            http_respond_detail(request, 503, "overloaded, try again later", 1);
        else if (request->body.len + len > server->options.body_max)
            http_respond_detail(request, 413, "the request body is too large", 0);
    }
    if (request->phase == PHASE_BODY) {
        buf_add(&request->body, data, len);
        server->body_bytes += len;
        return MHD_YES;
    }
    request->discarded += len;
    return request->discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result suspend(struct http_request *request)
{
    MHD_suspend_connection(request->conn->mhd);
    request->suspended = true;
    return MHD_YES;
}

static enum MHD_Result handle(struct http_request *request)
{
    struct http_server *server = request->server;
    request->phase = PHASE_HANDLING;
    request->conn->deadline = server->options.answer_timeout_ms
                                  ? loop_now(server->loop) + server->options.answer_timeout_ms
                                  : 0;
    if (server->stopping)
        http_respond_detail(request, 503, "the service is shutting down", 1);
    else
        server->options.on_request(server->options.arg, request);
    return request->phase == PHASE_ANSWERED ? http_response_queue(request) : suspend(request);
}

enum MHD_Result http_access(void *arg, struct MHD_Connection *mhd, const char *url,
                            const char *method, const char *version, const char *data,
                            size_t *data_len, void **request_p)
{
    (void)arg, (void)mhd, (void)url;
    struct http_request *request = *request_p;
    if (!request)
        return MHD_NO;
    switch (request->phase) {
    case PHASE_HEADERS:
        return begin(request, method, version);
    case PHASE_BODY:
    case PHASE_REFUSED:
        if (*data_len > 0) {
            size_t len = *data_len;
            *data_len = 0;
            return receive(request, data, len);
        }
        return request->phase == PHASE_BODY ? handle(request) : http_response_queue(request);
    case PHASE_HANDLING:
        return suspend(request);
    case PHASE_ANSWERED:
        return http_response_queue(request);
    case PHASE_SENDING:
    case PHASE_ABORTED:
        break;
    }
    return MHD_NO;
}
