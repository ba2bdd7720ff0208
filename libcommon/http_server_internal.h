/* Shared by http_server*.c alone: what a server, a connection and a request are made of. */
#ifndef MCPBUS_HTTP_SERVER_INTERNAL_H
#define MCPBUS_HTTP_SERVER_INTERNAL_H

#include <microhttpd.h>

#include "libcommon/buf.h"
#include "libcommon/http_server.h"

enum {
    HTTP_DAEMON_CALLS,
    HTTP_DAEMON_STREAMS,
    HTTP_DAEMONS,
};

enum {
    TRACE_MAX = 128,
    QUERY_MAX = 32,
    HEADERS_KEPT = 16,  /* at hand; the rest are looked up in libmicrohttpd */
    TARGET_SMALL = 256, /* a request target of so many bytes needs no memory of its own */
#ifdef __SANITIZE_ADDRESS__
    REQUESTS_SPARE = 0, /* the sanitizer knows freed memory alone */
#else
    REQUESTS_SPARE = 256, /* kept for the next */
#endif
    STREAM_WAITING_MAX = 1 << 20,
    STREAM_WRITE_MAX = 8 << 20,
    BODY_SPARE = 4096,      /* of a body's memory, kept with its spare request */
    DISCARD_MAX = 16 << 20, /* of a refused body, so that the client can read the answer */
    BODIES_MAX = 256 << 20, /* of all requests of a server together */
    RESUMES_A_TURN = 256,   /* each walks all suspended connections of its daemon */
    SWEEP_MS = 250,
    IDLE_TIMEOUT_MS = 75 * 1000, /* between two requests of a connection */
    SEND_TIMEOUT_MS = 120 * 1000,
    STREAM_FLUSH_MS = 10 * 1000,
    HTTP_PEEK_MAX = 15 * 1024, /* bytes of a header block */
    QUIET_IDLE_MS = 500,       /* for the next request, when the server stops */
    QUIET_FRESH_MS = 2000,     /* for a connection's first: who has just connected means to ask */
    LEFT_GRACE_MS = 1000,      /* a client that only shut its sending side may still read */
};

struct http_conn {
    struct http_server *server;
    struct MHD_Connection *mhd; /* NULL until libmicrohttpd has it */
    struct http_request *request;
    int fd, daemon;
    int64_t deadline; /* 0: none */
    int64_t left_at;  /* 0, or when the client shut its sending side */
    int64_t idle_since;
    bool fresh; /* accepted, its first header block is not there yet */
    bool begun; /* some of it is */
    struct http_conn *prev, *next;
};

enum http_phase {
    PHASE_HEADERS,  /* the request line is there */
    PHASE_BODY,     /* accepted, being received */
    PHASE_REFUSED,  /* answered before its body was there, which is thrown away */
    PHASE_HANDLING, /* the owner has it */
    PHASE_ANSWERED, /* `response` waits for libmicrohttpd */
    PHASE_SENDING,  /* libmicrohttpd has the response */
    PHASE_ABORTED,  /* to be closed without (the rest of) an answer */
};

struct http_query {
    const char *name, *value;
};

struct http_known_header {
    const char *name, *value; /* in libmicrohttpd's memory, as long as the request */
    size_t name_len;
};

struct http_request {
    struct http_server *server;
    struct http_conn *conn;
    uint64_t id;
    enum http_phase phase;
    bool suspended, head, close, is_checked;
    char *target;     /* a copy of the raw one, decoded in place; small_target or malloc'ed */
    const char *path; /* in it; NULL when it was malformed */
    size_t query_count, header_count;
    bool has_more_headers; /* than headers[] holds */
    size_t line_len;       /* of the raw URI, to find a NUL behind it */
    const char *line;
    char method[24];
    char trace[TRACE_MAX + 1];
    struct buf body;
    size_t discarded;
    struct MHD_Response *response;
    int status;
    void *data;
    void (*free_data)(void *data);

    bool stream, ending, cut;
    struct buf out;
    size_t out_at; /* what is before it has been sent */
    http_gone_fn *on_gone;
    void *gone_arg;
    bool resume_queued;
    struct http_request *resume_next; /* also: the next spare one */

    /* From here on a new request is not zeroed. */
    char small_target[TARGET_SMALL];
    struct http_query query[QUERY_MAX];
    struct http_known_header headers[HEADERS_KEPT];
};

struct http_slot {
    struct http_request *request;
    uint32_t generation;
};

struct http_server {
    struct loop *loop;
    struct http_server_options options;
    char *address, *stream_suffix;
    int listen_fd, port;
    struct MHD_Daemon *daemons[HTTP_DAEMONS];
    int epoll_fds[HTTP_DAEMONS];
    unsigned char run[HTTP_DAEMONS]; /* passes of MHD_run that are due */
    bool quiet, stopping;
    struct loop_timer *sweep, *accept_again, *quiet_timer;
    struct http_conn *conns; /* ring-less doubly linked list, any order */
    unsigned conn_count, stream_count;
    size_t request_count, body_bytes;
    struct http_slot *slots;
    uint32_t *free_slots, free_count;
    struct http_conn *adding; /* being handed to libmicrohttpd */
    struct http_request *resume_first, **resume_last;
    struct http_request *spare;
    unsigned spare_count;
    char trace_prefix[17];
    uint64_t trace_next;
};

/* http_server_request.c */
struct http_request *http_request_new(struct http_server *server, struct http_conn *conn,
                                      const char *uri);
void http_request_destroy(struct http_request **request_p);
void http_request_free_spare(struct http_server *server);
/* NULL, or why the header block must be refused (RFC 9112 §2 to §6). */
const char *http_request_check(struct http_request *request, const char *version);
/* Content-Length, or −1. Only after http_request_check. */
int64_t http_request_content_length(const struct http_request *request);
void http_request_trace_set(struct http_request *request);

/* http_server_respond.c */
void http_respond_detail(struct http_request *request, int status, const char *detail,
                         int retry_after);
/* Gives a ready response to libmicrohttpd; to be called in its access handler. */
enum MHD_Result http_response_queue(struct http_request *request);
/* Asks for the access handler or the content reader to be called again. */
void http_request_resume(struct http_request *request);
void http_request_abort(struct http_request *request);
void http_resume_some(struct http_server *server, size_t max);

/* http_server_peek.c: judges the beginning of a connection, at most HTTP_PEEK_MAX bytes. READY: its
 * first header block is there, with nothing that libmicrohttpd would answer in its own way.
 * REFUSE: with `*ret_refusal`. */
enum http_peek { HTTP_PEEK_MORE, HTTP_PEEK_READY, HTTP_PEEK_REFUSE };
struct http_peek_refusal {
    const char *status, *why;
};
enum http_peek http_peek(const char *text, size_t len, struct http_peek_refusal *ret_refusal);

/* http_server_conn.c */
void http_accept(void *arg, uint32_t events);
struct loop_timer *http_accept_timer(struct http_server *server);
void http_sweep(void *arg);
void http_conn_free(struct http_conn *conn);
void http_conn_refuse(const struct http_server *server, int fd, const char *status,
                      const char *detail);

/* http_server_quiet.c */
struct loop_timer *http_quiet_timer(struct http_server *server);
/* Accepts what waits, then closes. */
void http_close_listener(struct http_server *server);
bool http_conn_is_unwanted(const struct http_conn *conn, int64_t now);

/* http_server_access.c */
enum MHD_Result http_access(void *arg, struct MHD_Connection *mhd, const char *url,
                            const char *method, const char *version, const char *data,
                            size_t *data_len, void **request_p);

#endif
