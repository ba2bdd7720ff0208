#include "services/worker/zygote.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcommon/mem.h"
#include "libcommon/clock.h"
#include "services/worker/isolation.h"
#include "services/worker/proc.h"
#include "services/worker/zygote_process.h"

enum { SOCKET_BUFFER = 1 << 20, STOP_MS = 1000, ISOLATE_MS = 5000, WAITING_MAX = 1 << 18 };

/* What the socket could not take yet. */
struct waiting {
    struct zygote_message message;
    int fd;
    struct waiting *next;
};

struct zygote {
    pid_t pid;
    int fd;
    struct loop *loop;
    struct zygote_events events;
    struct waiting *first, **last;
    size_t waiting;
    bool lost;
    bool deferred, dead; /* as for lose_later */
    bool isolated;
    char why[ISOLATION_WHY_SIZE]; /* not */
};

struct wipe {
    void (*fn)(void *arg, bool own_mounts);
    void *arg;
};

static void ignore_terminal(void)
{
    setpgid(0, 0); /* a terminal's Ctrl-C is the worker's to handle */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

static void serve(int fd, int own, const struct wipe *wipe)
{
    if (wipe->fn)
        wipe->fn(wipe->arg, own >= 0);
    zygote_main(fd, own);
    _exit(0);
}

static void become_zygote(int fd, pid_t parent, const struct wipe *wipe)
{
    ignore_terminal();
    /* Not SIGKILL: it must first kill what its runs have left behind. */
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    if (getppid() != parent)
        _exit(1);
    serve(fd, -1, wipe);
}

static bool tell(int fd, enum zygote_op op, enum isolation_step step, int value)
{
    struct zygote_message message = {.op = op, .end = (int)step, .status = value};
    return send(fd, &message, sizeof message, MSG_NOSIGNAL) == sizeof message;
}

static bool hear(int fd, enum zygote_op op, struct zygote_message *ret_message)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    int64_t until = clock_ms() + ISOLATE_MS, left;
    while ((left = until - clock_ms()) > 0 && poll(&ready, 1, (int)left) < 0 && errno == EINTR)
        ;
    return recv(fd, ret_message, sizeof *ret_message, MSG_DONTWAIT) ==
               (ssize_t)sizeof *ret_message &&
           ret_message->op == op;
}

/* Here getppid is 0 whoever lives. The worker speaks when the gate has gone: before that, the
 * gate's end would be taken for its own. After that the socket's end tells what the signal missed.
 */
static void become_isolated_zygote(int fd, const struct wipe *wipe)
{
    struct zygote_message message;
    int own = -1;
    ignore_terminal();
    if (!hear(fd, ZYGOTE_BEGIN, &message))
        _exit(1);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    enum isolation_step step = isolation_begin(&own);
    if (!tell(fd, ZYGOTE_READY, step, errno) || step)
        _exit(1);
    serve(fd, own, wipe);
}

/* Only a child that has left the worker may leave the worker's namespaces. The zygote becomes the
 * worker's child (a subreaper's) when this has exited. */
static void become_gate(int fd, const struct wipe *wipe)
{
    enum isolation_step step = isolation_unshare();
    pid_t pid = step ? -1 : fork();
    if (pid == 0)
        become_isolated_zygote(fd, wipe);
    tell(fd, ZYGOTE_BORN,
         pid > 0 ? ISOLATION_OK
         : step  ? step
                 : ISOLATION_START,
         pid > 0 ? (int)pid : errno);
    _exit(0);
}

static bool make_socket(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return false;
    for (int i = 0; i < 2; i++) {
        int size = SOCKET_BUFFER;
        setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
    return true;
}

static void wait_for(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Its pid once it is ready to serve; else 0, and `why`. */
static pid_t await_isolated(int fd, pid_t gate, char why[ISOLATION_WHY_SIZE])
{
    struct zygote_message born = {0}, ready = {0};
    wait_for(gate);
    if (!hear(fd, ZYGOTE_BORN, &born) || born.end != ISOLATION_OK) {
        isolation_why(born.end ? (enum isolation_step)born.end : ISOLATION_START,
                      born.end ? born.status : 0, why);
        return 0;
    }
    bool heard = tell(fd, ZYGOTE_BEGIN, ISOLATION_OK, 0) && hear(fd, ZYGOTE_READY, &ready);
    if (heard && ready.end == ISOLATION_OK)
        return born.status;
    isolation_why(heard ? (enum isolation_step)ready.end : ISOLATION_START,
                  heard ? ready.status : 0, why);
    kill(born.status, SIGKILL);
    wait_for(born.status);
    return 0;
}

static pid_t fork_isolated(const struct wipe *wipe, int *ret_fd, char why[ISOLATION_WHY_SIZE])
{
    int ends[2];
    if (!make_socket(ends))
        return 0;
    pid_t gate = fork();
    if (gate == 0) {
        close(ends[0]);
        become_gate(ends[1], wipe);
    }
    close(ends[1]);
    pid_t pid = gate > 0 ? await_isolated(ends[0], gate, why) : 0;
    if (pid)
        *ret_fd = ends[0];
    else
        close(ends[0]);
    return pid;
}

static pid_t fork_plain(const struct wipe *wipe, int *ret_fd)
{
    int ends[2];
    if (!make_socket(ends))
        return 0;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        close(ends[0]);
        become_zygote(ends[1], parent, wipe);
    }
    close(ends[1]);
    if (pid < 0)
        close(ends[0]);
    else
        *ret_fd = ends[0];
    return pid < 0 ? 0 : pid;
}

enum err zygote_fork(bool isolate, void (*wipe_fn)(void *arg, bool own_mounts), void *arg,
                     struct zygote **ret_zygote)
{
    struct wipe wipe = {wipe_fn, arg};
    struct zygote *zygote = mem_alloc(sizeof *zygote);
    zygote->last = &zygote->first;
    isolation_why(isolate ? ISOLATION_START : ISOLATION_UNWANTED, 0, zygote->why);
    sigset_t early, old;
    sigemptyset(&early);
    sigaddset(&early, SIGUSR1); /* its signalfd is not there yet when the parent dies at once */
    sigprocmask(SIG_BLOCK, &early, &old);
    /* Should the zygote itself be killed, what it leaves comes to the worker. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    zygote->pid = isolate ? fork_isolated(&wipe, &zygote->fd, zygote->why) : 0;
    zygote->isolated = zygote->pid != 0;
    if (!zygote->pid)
        zygote->pid = fork_plain(&wipe, &zygote->fd);
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (!zygote->pid) {
        free(zygote);
        return ERR_INTERNAL;
    }
    *ret_zygote = zygote;
    return ERR_OK;
}

bool zygote_isolated(const struct zygote *zygote, const char **ret_why)
{
    *ret_why = zygote->isolated ? "" : zygote->why;
    return zygote->isolated;
}

static void kill_one(void *arg, pid_t pid)
{
    (void)arg;
    kill(pid, SIGKILL);
}

static void drop_first(struct zygote *zygote)
{
    struct waiting *first = zygote->first;
    zygote->first = first->next;
    if (!zygote->first)
        zygote->last = &zygote->first;
    zygote->waiting--;
    free(first);
}

static void drop_waiting(struct zygote *zygote)
{
    while (zygote->first) {
        if (zygote->first->fd >= 0)
            close(zygote->first->fd);
        drop_first(zygote);
    }
}

/* A zygote that is gone or does not listen: nothing of it may live on. */
static void lose(struct zygote *zygote)
{
    if (zygote->lost)
        return;
    zygote->lost = true;
    loop_fd_remove(zygote->loop, zygote->fd);
    drop_waiting(zygote);
    int64_t until = clock_ms() + STOP_MS;
    kill(zygote->pid, SIGKILL);
    while (proc_each_child(kill_one, NULL) && clock_ms() < until)
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    zygote->pid = 0;
    zygote->events.lost(zygote->events.arg);
}

static void flush(struct zygote *zygote);

static void on_fd(void *arg, uint32_t events)
{
    struct zygote *zygote = arg;
    struct zygote_message message;
    if (events & EPOLLOUT)
        flush(zygote);
    ssize_t n = recv(zygote->fd, &message, sizeof message, MSG_DONTWAIT);
    if (n == sizeof message && message.op == ZYGOTE_ENDED)
        zygote->events.ended(zygote->events.arg, message.id, (enum zygote_end)message.end,
                             message.status);
    else if (n >= 0 || (errno != EAGAIN && errno != EINTR))
        lose(zygote);
}

void zygote_attach(struct zygote *zygote, struct loop *loop, const struct zygote_events *events)
{
    zygote->loop = loop;
    zygote->events = *events;
    loop_fd_add(loop, zygote->fd, EPOLLIN, on_fd, zygote);
}

void zygote_destroy(struct zygote **zygote_p)
{
    struct zygote *zygote = *zygote_p;
    if (!zygote)
        return;
    *zygote_p = NULL;
    if (zygote->loop)
        loop_fd_remove(zygote->loop, zygote->fd);
    drop_waiting(zygote);
    close(zygote->fd); /* the end of the socket is its order to stop */
    int64_t until = clock_ms() + STOP_MS;
    while (zygote->pid && waitpid(zygote->pid, NULL, WNOHANG) == 0) {
        if (clock_ms() >= until)
            kill(zygote->pid, SIGKILL);
        usleep(1000);
    }
    zygote->dead = true;
    if (!zygote->deferred)
        free(zygote);
}

static void on_lost_later(void *arg)
{
    struct zygote *zygote = arg;
    zygote->deferred = false;
    if (zygote->dead)
        free(zygote);
    else
        lose(zygote);
}

static void lose_later(struct zygote *zygote)
{
    if (zygote->deferred)
        return;
    zygote->deferred = true;
    loop_defer(zygote->loop, on_lost_later, zygote);
}

/* False when the socket is full; closes `fd` once it is on its way, or can't be. */
static bool send_now(struct zygote *zygote, const struct zygote_message *message, int fd)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(void *)message, sizeof *message};
    struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        head.msg_control = &control;
        head.msg_controllen = sizeof control;
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&head);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
    }
    if (sendmsg(zygote->fd, &head, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ETOOMANYREFS)
            return false;
        lose_later(zygote);
    }
    if (fd >= 0)
        close(fd);
    return true;
}

static void flush(struct zygote *zygote)
{
    while (zygote->first && send_now(zygote, &zygote->first->message, zygote->first->fd))
        drop_first(zygote);
    loop_fd_change(zygote->loop, zygote->fd, zygote->first ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* Hundreds of runs may start in one turn, faster than a fork each; the socket holds a few hundred
 * messages by Linux's default. */
static void send_message(struct zygote *zygote, const struct zygote_message *message, int fd)
{
    if (!zygote->lost && !zygote->first && send_now(zygote, message, fd))
        return;
    if (zygote->lost || zygote->waiting == WAITING_MAX) {
        if (!zygote->lost)
            lose_later(zygote);
        if (fd >= 0)
            close(fd);
        return;
    }
    struct waiting *waiting = mem_alloc(sizeof *waiting);
    *waiting = (struct waiting){.message = *message, .fd = fd};
    *zygote->last = waiting;
    zygote->last = &waiting->next;
    zygote->waiting++;
    loop_fd_change(zygote->loop, zygote->fd, EPOLLIN | EPOLLOUT);
}

void zygote_start(struct zygote *zygote, uint64_t id, int fd)
{
    struct zygote_message message = {.op = ZYGOTE_START, .id = id};
    send_message(zygote, &message, fd);
}

void zygote_kill(struct zygote *zygote, uint64_t id)
{
    struct zygote_message message = {.op = ZYGOTE_KILL, .id = id};
    send_message(zygote, &message, -1);
}

void zygote_lease(struct zygote *zygote, int64_t until)
{
    struct zygote_message message = {.op = ZYGOTE_LEASE, .until = until};
    send_message(zygote, &message, -1);
}
