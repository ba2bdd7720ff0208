#include "libcommon/http_server_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

struct http_response {
    struct MHD_Response *mhd;
};

void http_response_header(struct http_response *response, const char *name, const char *value)
{
    MHD_add_response_header(response->mhd, name, value);
}

bool http_response_has(const struct http_response *response, const char *name)
{
    return MHD_get_response_header(response->mhd, name) != NULL;
}

static void answer(struct http_request *request, int status, const char *content_type,
                   const struct http_header *headers, struct MHD_Response *mhd)
{
    assert(!request->response && request->phase < PHASE_ANSWERED);
    struct http_server *server = request->server;
    request->response = mhd;
    request->status = status;
    MHD_add_response_header(mhd, "X-Request-Id", request->trace);
    if (content_type)
        MHD_add_response_header(mhd, "Content-Type", content_type);
    for (; headers && headers->name; headers++)
        MHD_add_response_header(mhd, headers->name, headers->value);
    if (server->options.decorate) {
        struct http_response response = {.mhd = mhd};
        server->options.decorate(server->options.arg, request, status, &response);
    }
    if (request->phase == PHASE_HANDLING)
        request->phase = PHASE_ANSWERED;
    else
        request->phase = PHASE_REFUSED;
    http_request_resume(request);
}

static struct MHD_Response *from_bytes(const void *body, size_t len,
                                       enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *mhd = MHD_create_response_from_buffer(len, (void *)(uintptr_t)body, mode);
    if (!mhd)
        abort(); /* out of memory, as in mem.h */
    return mhd;
}

void http_respond(struct http_request *request, int status, const char *content_type,
                  const void *body, size_t len, const struct http_header *headers)
{
    answer(request, status, content_type, headers,
           from_bytes(len ? body : "", len, MHD_RESPMEM_MUST_COPY));
}

void http_respond_buf(struct http_request *request, int status, const char *content_type,
                      struct buf *body, const struct http_header *headers)
{
    size_t len = body->len;
    answer(request, status, content_type, headers,
           from_bytes(buf_steal(body), len, MHD_RESPMEM_MUST_FREE));
}

void http_respond_static(struct http_request *request, int status, const char *content_type,
                         const void *body, size_t len, const struct http_header *headers)
{
    answer(request, status, content_type, headers, from_bytes(body, len, MHD_RESPMEM_PERSISTENT));
}

void http_respond_detail(struct http_request *request, int status, const char *detail,
                         int retry_after)
{
    AUTOJSON json_t *body = json_pack("{s:s}", "detail", detail);
    AUTOFREE char *text = js_dump(body);
    char seconds[16];
    snprintf(seconds, sizeof(seconds), "%d", retry_after);
    struct http_header headers[] = {{retry_after ? "Retry-After" : NULL, seconds}, {0}};
    http_respond(request, status, "application/json", text, strlen(text), headers);
}

enum MHD_Result http_response_queue(struct http_request *request)
{
    struct http_server *server = request->server;
    struct MHD_Response *mhd = request->response;
    if (request->close || server->quiet || server->stopping)
        MHD_add_response_header(mhd, "Connection", "close");
    request->phase = PHASE_SENDING;
    request->response = NULL;
    int64_t limit = !request->stream ? SEND_TIMEOUT_MS : request->ending ? STREAM_FLUSH_MS : 0;
    request->conn->deadline = limit ? loop_now(server->loop) + limit : 0;
    enum MHD_Result result = MHD_queue_response(request->conn->mhd, (unsigned)request->status, mhd);
    MHD_destroy_response(mhd);
    return result;
}

static void resume_now(struct http_request *request)
{
    request->suspended = false;
    MHD_resume_connection(request->conn->mhd);
    /* The second run puts the connection back into the daemon's epoll set. */
    request->server->run[request->conn->daemon] = 2;
}

void http_request_resume(struct http_request *request)
{
    if (!request->suspended || request->resume_queued)
        return;
    struct http_server *server = request->server;
    if (!request->stream || request->phase != PHASE_SENDING) {
        resume_now(request);
        return;
    }
    request->resume_queued = true;
    request->resume_next = NULL;
    *server->resume_last = request;
    server->resume_last = &request->resume_next;
}

void http_resume_some(struct http_server *server, size_t max)
{
    for (size_t i = 0; i < max && server->resume_first; i++) {
        struct http_request *request = server->resume_first;
        server->resume_first = request->resume_next;
        if (!server->resume_first)
            server->resume_last = &server->resume_first;
        request->resume_queued = false;
        if (request->suspended)
            resume_now(request);
    }
}

void http_request_abort(struct http_request *request)
{
    if (request->phase == PHASE_ABORTED)
        return;
    request->phase = PHASE_ABORTED;
    request->conn->deadline = 0;
    shutdown(request->conn->fd, SHUT_RDWR);
    if (request->suspended && !request->resume_queued)
        resume_now(request);
}

static size_t stream_waiting(const struct http_request *request)
{
    return request->out.len - request->out_at;
}

/* Moves what is left to the front only when that is cheap. */
static void stream_sent(struct http_request *request, size_t len)
{
    request->out_at += len;
    if (stream_waiting(request) == 0)
        buf_fini(&request->out);
    else if (request->out_at > request->out.len / 2)
        buf_consume(&request->out, request->out_at);
    else
        return;
    request->out_at = 0;
}

static ssize_t stream_read(void *arg, uint64_t position, char *to, size_t max)
{
    (void)position;
    struct http_request *request = arg;
    if (request->phase == PHASE_ABORTED)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t len = stream_waiting(request) < max ? stream_waiting(request) : max;
    if (len > 0) {
        memcpy(to, request->out.data + request->out_at, len);
        stream_sent(request, len);
        return (ssize_t)len;
    }
    if (request->ending || request->server->stopping)
        return request->cut ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    MHD_suspend_connection(request->conn->mhd);
    request->suspended = true;
    return 0;
}

bool http_respond_stream(struct http_request *request, int status, const char *content_type,
                         const struct http_header *headers, http_gone_fn *on_gone, void *arg)
{
    struct http_server *server = request->server;
    if (request->head) {
        http_respond(request, status, content_type, NULL, 0, headers);
        return false;
    }
    if (server->stream_count >= server->options.streams_max || server->stopping) {
        http_respond_detail(request, 503, "too many event streams", 5);
        return false;
    }
    struct MHD_Response *mhd =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, stream_read, request, NULL);
    if (!mhd)
        abort();
    server->stream_count++;
    request->stream = true;
    request->on_gone = on_gone;
    request->gone_arg = arg;
    answer(request, status, content_type, headers, mhd);
    return true;
}

static struct http_request *find_stream(struct http_server *server, uint64_t id)
{
    struct http_request *request = http_request_find(server, id);
    return request && request->stream && !request->ending ? request : NULL;
}

enum err http_stream_write(struct http_server *server, uint64_t id, const void *data, size_t len)
{
    struct http_request *request = find_stream(server, id);
    if (!request)
        return ERR_NOT_FOUND;
    if (stream_waiting(request) >= STREAM_WAITING_MAX || len > STREAM_WRITE_MAX)
        return ERR_TOO_LARGE;
    buf_add(&request->out, data, len);
    http_request_resume(request);
    return ERR_OK;
}

size_t http_stream_waiting(struct http_server *server, uint64_t id)
{
    struct http_request *request = find_stream(server, id);
    return request ? stream_waiting(request) : 0;
}

void http_stream_end(struct http_server *server, uint64_t id)
{
    struct http_request *request = find_stream(server, id);
    if (!request)
        return;
    request->ending = true;
    request->conn->deadline = loop_now(server->loop) + STREAM_FLUSH_MS;
    http_request_resume(request);
}

void http_stream_cut(struct http_server *server, uint64_t id)
{
    struct http_request *request = find_stream(server, id);
    if (!request)
        return;
    request->cut = true;
    http_stream_end(server, id);
}
