#include "libcommon/http_server_internal.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/mem.h"

enum {
    LISTEN_BACKLOG = 4096,
    /* A connection's memory, which libmicrohttpd zeroes for each request: a header block of
     * HTTP_PEEK_MAX, what it notes of 128 headers, and the header of the answer. */
    MEMORY_MAX = 24 * 1024,
    STOP_ROUNDS = 64,
    SPARE_DESCRIPTORS = 64,
};

static void on_connection(void *arg, struct MHD_Connection *mhd, void **conn_p,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_server *server = arg;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *conn_p = server->adding;
        server->adding->mhd = mhd;
        return;
    }
    struct http_conn *conn = *conn_p;
    if (!conn)
        return;
    *conn_p = NULL;
    conn->mhd = NULL;
    if (conn != server->adding)
        http_conn_free(conn);
}

static struct http_conn *conn_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* The request line is there: libmicrohttpd's first sign of a request. */
static void *on_uri(void *arg, const char *uri, struct MHD_Connection *mhd)
{
    struct http_server *server = arg;
    struct http_conn *conn = conn_of(mhd);
    conn->deadline = loop_now(server->loop) + server->options.receive_timeout_ms;
    conn->request = http_request_new(server, conn, uri);
    return conn->request;
}

static void on_completed(void *arg, struct MHD_Connection *mhd, void **request_p,
                         enum MHD_RequestTerminationCode why)
{
    (void)mhd, (void)why;
    struct http_server *server = arg;
    struct http_request *request = *request_p;
    *request_p = NULL;
    if (!request)
        return;
    request->conn->idle_since = loop_now(server->loop);
    request->conn->deadline = request->conn->idle_since + IDLE_TIMEOUT_MS;
    http_request_destroy(&request);
}

static struct MHD_Daemon *start_daemon(struct http_server *server)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET;
    return MHD_start_daemon(flags, 0, NULL, NULL, http_access, server, MHD_OPTION_CONNECTION_LIMIT,
                            server->options.connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)MEMORY_MAX, MHD_OPTION_CONNECTION_TIMEOUT, 0U,
                            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION,
                            on_connection, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
                            server, MHD_OPTION_URI_LOG_CALLBACK, on_uri, server, MHD_OPTION_END);
}

static void on_epoll(void *arg, uint32_t events)
{
    (void)events;
    unsigned char *run = arg;
    if (!*run)
        *run = 1;
}

/* libmicrohttpd knows of work that its epoll fd doesn't show, and not of pending resumes. */
static bool daemon_due(struct http_server *server, int i)
{
    MHD_UNSIGNED_LONG_LONG timeout = 1;
    if (server->run[i])
        return true;
    return MHD_get_timeout(server->daemons[i], &timeout) == MHD_YES && timeout == 0;
}

static bool turn(void *arg)
{
    struct http_server *server = arg;
    bool did = false;
    http_resume_some(server, RESUMES_A_TURN);
    for (int i = 0; i < HTTP_DAEMONS; i++) {
        if (!daemon_due(server, i))
            continue;
        if (server->run[i])
            server->run[i]--;
        MHD_run(server->daemons[i]);
        did = true;
    }
    return did;
}

static int open_socket(const struct http_server_options *options, const struct addrinfo *info)
{
    int one = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (options->reuse_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static enum err listen_on(struct http_server *server)
{
    const struct http_server_options *options = &server->options;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *info;
    char port[8];
    snprintf(port, sizeof(port), "%d", options->port);
    if (getaddrinfo(options->address, port, &hints, &info) != 0)
        return ERR_INTERNAL;
    server->listen_fd = open_socket(options, info);
    int error = errno;
    freeaddrinfo(info);
    if (server->listen_fd < 0)
        return error == EADDRINUSE ? ERR_CONFLICT : ERR_INTERNAL;
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } bound = {0};
    socklen_t len = sizeof(bound);
    if (getsockname(server->listen_fd, &bound.any, &len) != 0)
        return ERR_INTERNAL;
    server->port =
        ntohs(bound.any.sa_family == AF_INET6 ? bound.in6.sin6_port : bound.in4.sin_port);
    return ERR_OK;
}

static enum err start_daemons(struct http_server *server)
{
    for (int i = 0; i < HTTP_DAEMONS; i++) {
        server->daemons[i] = start_daemon(server);
        if (!server->daemons[i])
            return ERR_INTERNAL;
        server->epoll_fds[i] =
            MHD_get_daemon_info(server->daemons[i], MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
        loop_fd_add(server->loop, server->epoll_fds[i], EPOLLIN, on_epoll, &server->run[i]);
    }
    return ERR_OK;
}

/* A connection needs a descriptor; the usual soft limit of 1,024 is far below the hard one. Beyond
 * the hard one no connection could be accepted, and so none refused either: some are kept for that,
 * and for what else the process opens. */
static unsigned within_descriptors(unsigned connections_max)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return connections_max;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    rlim_t all = limit.rlim_cur, spare = SPARE_DESCRIPTORS;
    rlim_t room = all > 2 * spare ? all - spare : all / 2;
    return connections_max < room ? connections_max : (unsigned)room;
}

static void make_slots(struct http_server *server)
{
    uint32_t count = server->options.connections_max;
    server->slots = mem_alloc(count * sizeof(*server->slots));
    server->free_slots = mem_alloc(count * sizeof(*server->free_slots));
    for (uint32_t i = 0; i < count; i++)
        server->free_slots[i] = count - 1 - i;
    server->free_count = count;
}

static struct http_server *make(struct loop *loop, const struct http_server_options *options)
{
    struct http_server *server = mem_alloc(sizeof(*server));
    uint64_t boot = 0;
    if (getrandom(&boot, sizeof(boot), 0) < 0)
        boot = (uint64_t)getpid();
    server->loop = loop;
    server->options = *options;
    server->options.connections_max = within_descriptors(options->connections_max);
    server->address = mem_strdup(options->address);
    server->options.address = server->address;
    server->stream_suffix = mem_strdup_opt(options->stream_suffix);
    server->listen_fd = -1;
    server->resume_last = &server->resume_first;
    snprintf(server->trace_prefix, sizeof(server->trace_prefix), "%016llx",
             (unsigned long long)boot);
    make_slots(server);
    server->accept_again = http_accept_timer(server);
    server->quiet_timer = http_quiet_timer(server);
    server->sweep = loop_timer_new(loop, http_sweep, server);
    loop_source_add(loop, turn, server);
    return server;
}

enum err http_server_new(struct loop *loop, const struct http_server_options *options,
                         struct http_server **ret_server)
{
    signal(SIGPIPE, SIG_IGN); /* libmicrohttpd may write to a socket that the peer has closed */
    struct http_server *server = make(loop, options);
    enum err err = listen_on(server);
    if (!err)
        err = start_daemons(server);
    if (err) {
        http_server_destroy(&server);
        return err;
    }
    loop_fd_add(loop, server->listen_fd, EPOLLIN, http_accept, server);
    loop_timer_start(server->sweep, SWEEP_MS);
    *ret_server = server;
    return ERR_OK;
}

int http_server_port(const struct http_server *server)
{
    return server->port;
}

size_t http_server_active(const struct http_server *server)
{
    return server->request_count;
}

static void end_request(struct http_request *request)
{
    if (request->phase == PHASE_HANDLING)
        http_respond_detail(request, 503, "the service is shutting down", 1);
    else if (request->suspended)
        http_request_resume(request);
}

/* libmicrohttpd aborts the process when it is stopped with a suspended connection. */
static void end_connections(struct http_server *server)
{
    server->stopping = true;
    struct http_conn *next;
    for (struct http_conn *conn = server->conns; conn; conn = next) {
        next = conn->next;
        if (conn->fresh)
            http_conn_free(conn);
        else if (conn->request)
            end_request(conn->request);
    }
    http_resume_some(server, SIZE_MAX);
    for (int round = 0; round < STOP_ROUNDS; round++) {
        server->run[HTTP_DAEMON_CALLS] = server->run[HTTP_DAEMON_STREAMS] = 2;
        turn(server);
    }
}

void http_server_destroy(struct http_server **server_p)
{
    struct http_server *server = *server_p;
    if (!server)
        return;
    *server_p = NULL;
    http_close_listener(server);
    if (server->daemons[HTTP_DAEMONS - 1])
        end_connections(server);
    for (int i = 0; i < HTTP_DAEMONS; i++) {
        if (!server->daemons[i])
            continue;
        loop_fd_remove(server->loop, server->epoll_fds[i]);
        MHD_stop_daemon(server->daemons[i]);
    }
    loop_source_remove(server->loop, turn, server);
    loop_timer_destroy(&server->sweep);
    loop_timer_destroy(&server->accept_again);
    loop_timer_destroy(&server->quiet_timer);
    http_request_free_spare(server);
    free(server->slots);
    free(server->free_slots);
    free(server->address);
    free(server->stream_suffix);
    free(server);
}
