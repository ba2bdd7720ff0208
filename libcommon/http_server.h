/* HTTP/1.1 server: the one door to libmicrohttpd (design: one thread, external epoll, two daemons).
 * Runs on the loop's thread. A request is answered now or later, under its id; a late answer to a
 * request that has gone is dropped. The server itself refuses, before any handler: bodies over the
 * limit (413), header blocks that smell of request smuggling (400: Transfer-Encoding together with
 * Content-Length, a doubled or malformed Content-Length, any Transfer-Encoding but "chunked", white
 * space before a colon, doubled Host, folded lines, line ends other than CR LF), too many
 * connections, slow senders (its own absolute deadline). Every response carries X-Request-Id: the
 * client's when it is 1 to 128 characters of [A-Za-z0-9._-], else a new one. */
#ifndef MCPBUS_HTTP_SERVER_H
#define MCPBUS_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"
#include "libcommon/loop.h"

struct http_server;
struct http_request;

/* Called once the whole body is there. `request` is borrowed and lives until it is answered: the
 * handler either answers before it returns or keeps http_request_id(request). */
typedef void http_handler_fn(void *arg, struct http_request *request);

/* Called as soon as the header block is there, before the body is read (may be NULL). True: go on.
 * To refuse early (401, 413) it answers the request and returns false. */
typedef bool http_headers_fn(void *arg, struct http_request *request);

/* Lets the owner add headers (CORS) to every response, errors of the server's own included: calls
 * http_response_header on it. May be NULL. `status` is the response's. */
struct http_response;
typedef void http_decorate_fn(void *arg, const struct http_request *request, int status,
                              struct http_response *response);
void http_response_header(struct http_response *response, const char *name, const char *value);
bool http_response_has(const struct http_response *response, const char *name);

struct http_server_options {
    const char *address;      /* "0.0.0.0" */
    int port;                 /* 0: a free one, see http_server_port */
    bool reuse_port;          /* SO_REUSEPORT, for replicas on one machine */
    size_t body_max;          /* bytes */
    unsigned connections_max; /* fewer when the process may not open so many files */
    unsigned streams_max;
    int64_t receive_timeout_ms; /* from the first byte of a request to the last of its body */
    int64_t answer_timeout_ms;  /* a request unanswered for so long gets a 503 */
    http_headers_fn *on_headers;
    http_handler_fn *on_request;
    http_decorate_fn *decorate;
    void *arg;
    /* Paths that end so are expected to stream: a connection whose first request has such a path
     * lives in the streams' daemon. Only a matter of speed; NULL: none. */
    const char *stream_suffix;
};

/* Listens. ERR_CONFLICT: the port is taken (logged by the caller); ERR_INTERNAL otherwise. */
MUST_CHECK enum err http_server_new(struct loop *loop, const struct http_server_options *options,
                                    struct http_server **ret_server);
int http_server_port(const struct http_server *server);
/* Begins to stop: connections that had begun are still accepted for a moment, new ones meet other
 * replicas; each connection is closed by its next answer, or when it stays idle. */
void http_server_quiesce(struct http_server *server);
/* No connection is left since. */
bool http_server_is_quiet(const struct http_server *server);
/* How many requests and streams are open. */
size_t http_server_active(const struct http_server *server);
/* Answers what is left with 503, ends streams, closes. */
void http_server_destroy(struct http_server **server_p);

/* What a request says; texts are borrowed and live as long as the request. */
uint64_t http_request_id(const struct http_request *request); /* slot and generation; never 0 */
struct http_request *http_request_find(struct http_server *server, uint64_t id); /* NULL: gone */
const char *http_request_method(const struct http_request *request); /* "GET" for a HEAD too */
const char *http_request_path(const struct http_request *request);   /* percent-decoded, no query */
const char *http_request_query(const struct http_request *request, const char *name); /* or NULL */
/* The same for a name that is repeated: the `nth` from 0. */
const char *http_request_query_nth(const struct http_request *request, const char *name,
                                   unsigned nth);
const char *http_request_header(const struct http_request *request, const char *name); /* or NULL */
/* The values of all lines of this name, in their order, the last `max`; how many there are of them.
 */
size_t http_request_header_all(const struct http_request *request, const char *name,
                               const char **ret_values, size_t max);
const char *http_request_body(const struct http_request *request, size_t *ret_len); /* never NULL */
const char *http_request_trace(const struct http_request *request); /* its X-Request-Id */
void http_request_peer(const struct http_request *request, char ret_address[64]);
/* A pointer of the owner's, carried along; `free_fn` (may be NULL) is called when the request ends,
 * answered or not. */
void http_request_set_data(struct http_request *request, void *data, void (*free_fn)(void *data));
void *http_request_data(const struct http_request *request);

struct http_header {
    const char *name, *value;
};

/* Answers; everything is copied. `content_type` NULL: none. `headers` ends with a NULL name, may be
 * NULL. A second answer to the same request is a programmer's error. */
void http_respond(struct http_request *request, int status, const char *content_type,
                  const void *body, size_t len, const struct http_header *headers);
/* The same with a body that the response takes over: `body` is emptied. */
void http_respond_buf(struct http_request *request, int status, const char *content_type,
                      struct buf *body, const struct http_header *headers);
/* The same, but `body` must stay valid for the process's life (embedded assets). */
void http_respond_static(struct http_request *request, int status, const char *content_type,
                         const void *body, size_t len, const struct http_header *headers);
/* Answers with a body that is produced while it is sent, chunked (event streams). The request lives
 * on as the stream until http_stream_end or the client leaves; `on_gone(arg, id)` is called in
 * either case, once, never from within. When there are streams_max already it has answered 503,
 * and a HEAD has been answered without a body: then it returns false. */
typedef void http_gone_fn(void *arg, uint64_t id);
bool http_respond_stream(struct http_request *request, int status, const char *content_type,
                         const struct http_header *headers, http_gone_fn *on_gone, void *arg);
/* Appends to a stream, at most 8 MiB at once; ERR_TOO_LARGE when the peer reads so slowly that 1
 * MiB waits already (end it then), ERR_NOT_FOUND when it is gone. */
MUST_CHECK enum err http_stream_write(struct http_server *server, uint64_t id, const void *data,
                                      size_t len);
/* Bytes of it that wait to be sent; 0 when it is gone. */
size_t http_stream_waiting(struct http_server *server, uint64_t id);
/* Ends it after what was written has been sent. */
void http_stream_end(struct http_server *server, uint64_t id);
/* The same without the end that chunked coding has: the client sees a cut connection. */
void http_stream_cut(struct http_server *server, uint64_t id);

#endif
