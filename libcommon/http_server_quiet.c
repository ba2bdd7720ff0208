/* How a server stops without any client noticing: no connection is reset, and each client hears in
 * time that its connection ends. */
#include "libcommon/http_server_internal.h"

#include <linux/filter.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HANDSHAKE_MS = 250, /* for connections that had begun */
    ACCEPT_ROUNDS = 1024,
};

/* With SO_REUSEPORT the kernel chooses a listener when the first SYN comes, and closing the
 * listener resets what has been chosen for it, in the handshake or already waiting to be accepted.
 * So from now on it ignores SYNs: the client sends it again after a second, and by then it meets
 * another listener. (The filter sees packets from the TCP header on; its byte 13 has the flags.) */
static void ignore_syns(int fd)
{
    static struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),       /* SYN and ACK */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1), /* SYN alone */
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

void http_close_listener(struct http_server *server)
{
    if (server->listen_fd < 0)
        return;
    struct pollfd waiting = {.fd = server->listen_fd, .events = POLLIN};
    for (int i = 0; i < ACCEPT_ROUNDS && poll(&waiting, 1, 0) > 0; i++)
        http_accept(server, 0);
    loop_timer_stop(server->accept_again);
    loop_fd_remove(server->loop, server->listen_fd);
    close(server->listen_fd);
    server->listen_fd = -1;
}

static void on_handshakes_done(void *arg)
{
    http_close_listener(arg);
}

struct loop_timer *http_quiet_timer(struct http_server *server)
{
    return loop_timer_new(server->loop, on_handshakes_done, server);
}

void http_server_quiesce(struct http_server *server)
{
    if (server->quiet)
        return;
    server->quiet = true;
    ignore_syns(server->listen_fd);
    loop_timer_start(server->quiet_timer, HANDSHAKE_MS);
}

bool http_server_is_quiet(const struct http_server *server)
{
    return server->listen_fd < 0 && server->conn_count == 0;
}

/* A client that is about to send its next request is told by the answer to it; one that has been
 * idle for a while has to notice by itself. */
bool http_conn_is_unwanted(const struct http_conn *conn, int64_t now)
{
    bool busy = conn->request || (conn->fresh && conn->begun);
    int64_t patience = conn->fresh ? QUIET_FRESH_MS : QUIET_IDLE_MS;
    return conn->server->quiet && !busy && now >= conn->idle_since + patience;
}
