#include "services/worker/zygote.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcommon/mem.h"
#include "services/worker/clock.h"
#include "services/worker/proc.h"
#include "services/worker/zygote_process.h"

enum { SOCKET_BUFFER = 1 << 20, STOP_MS = 1000 };

struct zygote {
    pid_t pid;
    int fd;
    struct loop *loop;
    struct zygote_events events;
    bool lost;
};

static void become_zygote(int fd, pid_t parent, void (*wipe)(void *arg), void *arg)
{
    setpgid(0, 0); /* a terminal's Ctrl-C is the worker's to handle */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    /* Not SIGKILL: it must first kill what its runs have left behind. */
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    if (getppid() != parent)
        _exit(1);
    if (wipe)
        wipe(arg);
    zygote_main(fd);
    _exit(0);
}

enum err zygote_fork(void (*wipe)(void *arg), void *arg, struct zygote **ret_zygote)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return ERR_INTERNAL;
    for (int i = 0; i < 2; i++) {
        int size = SOCKET_BUFFER;
        setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
    sigset_t early, old;
    sigemptyset(&early);
    sigaddset(&early, SIGUSR1); /* its signalfd is not there yet when the parent dies at once */
    sigprocmask(SIG_BLOCK, &early, &old);
    /* Should the zygote itself be killed, what it leaves comes to the worker. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        close(ends[0]);
        become_zygote(ends[1], parent, wipe, arg);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return ERR_INTERNAL;
    }
    struct zygote *zygote = mem_alloc(sizeof *zygote);
    zygote->pid = pid;
    zygote->fd = ends[0];
    *ret_zygote = zygote;
    return ERR_OK;
}

static void kill_one(void *arg, pid_t pid)
{
    (void)arg;
    kill(pid, SIGKILL);
}

/* A zygote that is gone or does not listen: nothing of it may live on. */
static void lose(struct zygote *zygote)
{
    if (zygote->lost)
        return;
    zygote->lost = true;
    loop_fd_remove(zygote->loop, zygote->fd);
    int64_t until = clock_ms() + STOP_MS;
    kill(zygote->pid, SIGKILL);
    while (proc_each_child(kill_one, NULL) && clock_ms() < until)
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    zygote->pid = 0;
    zygote->events.lost(zygote->events.arg);
}

static void on_fd(void *arg, uint32_t events)
{
    struct zygote *zygote = arg;
    struct zygote_message message;
    (void)events;
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
    close(zygote->fd); /* the end of the socket is its order to stop */
    int64_t until = clock_ms() + STOP_MS;
    while (zygote->pid && waitpid(zygote->pid, NULL, WNOHANG) == 0) {
        if (clock_ms() >= until)
            kill(zygote->pid, SIGKILL);
        usleep(1000);
    }
    free(zygote);
}

static void lose_later(void *arg)
{
    lose(arg);
}

static void send_message(struct zygote *zygote, const struct zygote_message *message, int fd)
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
    if (!zygote->lost && sendmsg(zygote->fd, &head, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        loop_defer(zygote->loop, lose_later, zygote);
    if (fd >= 0)
        close(fd);
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
