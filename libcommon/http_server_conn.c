/* Connections: accepted here, handed to one of the daemons once their first header block is there.
 */
#include "libcommon/http_server_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/mem.h"

enum { ACCEPT_BUDGET = 64, ACCEPT_PAUSE_MS = 100, DEAD_PEER_MS = 60 * 1000 };

static struct http_conn *conn_new(struct http_server *server, int fd)
{
    struct http_conn *conn = mem_alloc(sizeof(*conn));
    conn->server = server;
    conn->fd = fd;
    conn->fresh = true;
    conn->idle_since = loop_now(server->loop);
    conn->deadline = conn->idle_since + server->options.receive_timeout_ms;
    conn->prev = NULL;
    conn->next = server->conns;
    if (conn->next)
        conn->next->prev = conn; /* NOLINT(clang-analyzer-unix.Malloc): freeing moves the head */
    server->conns = conn;
    server->conn_count++;
    return conn;
}

void http_conn_free(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    loop_fd_remove(server->loop, conn->fd);
    if (conn->request) {
        struct http_request *request = conn->request;
        http_request_destroy(&request);
    }
    if (conn == server->conns)
        server->conns = conn->next;
    else
        conn->prev->next = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    server->conn_count--;
    if (conn->fresh)
        close(conn->fd);
    free(conn);
}

/* The request line's path, as far as `text` holds it, ends with the streams' suffix? */
static bool wants_stream(const struct http_server *server, const char *text, size_t len)
{
    const char *suffix = server->stream_suffix;
    const char *start = suffix ? memchr(text, ' ', len) : NULL;
    if (!start)
        return false;
    start++;
    size_t left = len - (size_t)(start - text);
    size_t path = 0;
    while (path < left && start[path] != ' ' && start[path] != '?')
        path++;
    size_t want = strlen(suffix);
    return path < left && path >= want && memcmp(start + path - want, suffix, want) == 0;
}

static void on_fd(void *arg, uint32_t events);

static void hand_over(struct http_conn *conn, int daemon)
{
    struct http_server *server = conn->server;
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    getpeername(conn->fd, (struct sockaddr *)&address, &len);
    conn->daemon = daemon;
    conn->idle_since = loop_now(server->loop);
    conn->fresh = false; /* libmicrohttpd closes the socket, on failure too */
    server->adding = conn;
    enum MHD_Result added =
        MHD_add_connection(server->daemons[daemon], conn->fd, (struct sockaddr *)&address, len);
    server->adding = NULL;
    server->run[daemon] = 2;
    if (added == MHD_YES && conn->mhd)
        loop_fd_add(server->loop, conn->fd, EPOLLRDHUP | EPOLLET, on_fd, conn);
    else
        http_conn_free(conn);
}

/* Without the reading, the close would reset the connection and take the answer with it. */
static void refuse_fresh(struct http_conn *conn, const char *status, const char *why)
{
    char unread[HTTP_PEEK_MAX];
    http_conn_refuse(conn->server, conn->fd, status, why);
    conn->server->trace_next++;
    shutdown(conn->fd, SHUT_WR);
    for (int i = 0; i < 64 && recv(conn->fd, unread, sizeof(unread), MSG_DONTWAIT) > 0; i++) {
    }
    http_conn_free(conn);
}

/* True when the connection has been placed or closed. `last`: the peer will send no more. */
static bool try_place(struct http_conn *conn, bool last)
{
    char text[HTTP_PEEK_MAX];
    struct http_peek_refusal refusal = {0};
    ssize_t len = recv(conn->fd, text, sizeof(text), MSG_PEEK | MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    enum http_peek seen = len > 0 ? http_peek(text, (size_t)len, &refusal) : HTTP_PEEK_MORE;
    conn->begun = len > 0;
    if (seen == HTTP_PEEK_MORE && len > 0 && !last)
        return false;
    loop_fd_remove(conn->server->loop, conn->fd);
    if (seen == HTTP_PEEK_REFUSE)
        refuse_fresh(conn, refusal.status, refusal.why);
    else if (seen == HTTP_PEEK_MORE)
        http_conn_free(conn);
    else if (wants_stream(conn->server, text, (size_t)len))
        hand_over(conn, HTTP_DAEMON_STREAMS);
    else
        hand_over(conn, HTTP_DAEMON_CALLS);
    return true;
}

/* The peer shut its sending side, or is gone: libmicrohttpd looks away from a suspended one. */
static void on_left(struct http_conn *conn)
{
    conn->left_at = loop_now(conn->server->loop);
    if (conn->request && conn->request->stream)
        http_request_abort(conn->request);
}

static void on_fd(void *arg, uint32_t events)
{
    struct http_conn *conn = arg;
    if (conn->fresh)
        try_place(conn, events & EPOLLRDHUP);
    else if (!conn->left_at)
        on_left(conn);
}

/* A whole response at once, past libmicrohttpd, on a connection that is closed then. */
void http_conn_refuse(const struct http_server *server, int fd, const char *status,
                      const char *detail)
{
    char body[256], text[768];
    snprintf(body, sizeof(body), "{\"detail\":\"%s\"}", detail);
    int len =
        snprintf(text, sizeof(text),
                 "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                 "%sX-Request-Id: %s%016llx\r\nConnection: close\r\n\r\n%s",
                 status, strlen(body), strncmp(status, "503", 3) == 0 ? "Retry-After: 1\r\n" : "",
                 server->trace_prefix, (unsigned long long)server->trace_next, body);
    if (send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        /* The peer learns it from the close. */
    }
}

static void accepted(struct http_server *server, int fd)
{
    if (server->conn_count >= server->options.connections_max) {
        http_conn_refuse(server, fd, "503 Service Unavailable", "too many connections");
        server->trace_next++;
        close(fd);
        return;
    }
    int one = 1, dead = DEAD_PEER_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead, sizeof(dead));
    struct http_conn *conn = conn_new(server, fd);
    /* Edge-triggered: what was looked at stays in the socket. */
    if (!try_place(conn, false))
        loop_fd_add(server->loop, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, on_fd, conn);
}

static void start_accepting(void *arg)
{
    struct http_server *server = arg;
    if (server->listen_fd >= 0)
        loop_fd_add(server->loop, server->listen_fd, EPOLLIN, http_accept, server);
}

void http_accept(void *arg, uint32_t events)
{
    (void)events;
    struct http_server *server = arg;
    for (int i = 0; i < ACCEPT_BUDGET; i++) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accepted(server, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            loop_fd_remove(server->loop, server->listen_fd);
            loop_timer_start(server->accept_again, ACCEPT_PAUSE_MS);
        }
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

struct loop_timer *http_accept_timer(struct http_server *server)
{
    return loop_timer_new(server->loop, start_accepting, server);
}

static void expire(struct http_conn *conn)
{
    struct http_request *request = conn->request;
    conn->deadline = 0;
    if (conn->fresh && conn->begun) {
        loop_fd_remove(conn->server->loop, conn->fd);
        refuse_fresh(conn, "408 Request Timeout", "the request took too long to arrive");
    } else if (conn->fresh) {
        http_conn_free(conn);
    } else if (!request) {
        shutdown(conn->fd, SHUT_RDWR);
    } else if (request->phase == PHASE_HANDLING) {
        http_respond_detail(request, 503, "no answer in time", 1);
    } else if (request->phase < PHASE_HANDLING) {
        http_conn_refuse(conn->server, conn->fd, "408 Request Timeout",
                         "the request took too long to arrive");
        conn->server->trace_next++;
        http_request_abort(request);
    } else {
        http_request_abort(request);
    }
}

/* The peer's end came in one event with its last request: libmicrohttpd, edge-triggered, reads the
 * request and hears of the end no more. */
static bool is_left_idle(const struct http_conn *conn, int64_t now)
{
    return conn->left_at && !conn->request && now >= conn->left_at + LEFT_GRACE_MS &&
           now >= conn->deadline - IDLE_TIMEOUT_MS + LEFT_GRACE_MS;
}

/* Its request may have come by now: a close would reset the connection. */
static void end_fresh(struct http_conn *conn)
{
    if (!try_place(conn, false) && !conn->begun)
        http_conn_free(conn);
}

void http_sweep(void *arg)
{
    struct http_server *server = arg;
    int64_t now = loop_now(server->loop);
    struct http_conn *next;
    for (struct http_conn *conn = server->conns; conn; conn = next) {
        next = conn->next;
        struct http_request *request = conn->request;
        if (conn->deadline && now >= conn->deadline)
            expire(conn);
        else if (conn->left_at && request && request->suspended &&
                 (request->stream || now >= conn->left_at + LEFT_GRACE_MS))
            http_request_abort(request);
        else if (conn->fresh && http_conn_is_unwanted(conn, now))
            end_fresh(conn);
        else if (is_left_idle(conn, now) || http_conn_is_unwanted(conn, now))
            shutdown(conn->fd, SHUT_RDWR);
    }
    loop_timer_start(server->sweep, SWEEP_MS);
}
