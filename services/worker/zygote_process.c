#include "services/worker/zygote_process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/clock.h"
#include "services/worker/isolation.h"
#include "services/worker/proc.h"
#include "services/worker/run.h"
#include "services/worker/zygote.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum {
    RUNS_MAX = 1 << 17,
    ENDS_MAX = 2 * RUNS_MAX, /* of all runs, and of as many orders that found no room */
    RUN_MEMORY_MAX = 512 << 20,
    RUN_FILES_MAX = 1024,
    STOP_MS = 800, /* for all to be reaped when the worker has gone */
};

struct child {
    uint64_t id;
    pid_t pid;
    bool expired;
};

struct zygote_process {
    int fd, signals;
    int own; /* for isolation_fork; −1: runs are not isolated */
    struct child *children;
    size_t count, room;
    struct zygote_message *ends; /* that the socket could not take yet; a ring */
    size_t first_end, end_count;
    int64_t lease_until;
};

static struct child *find_id(struct zygote_process *zygote, uint64_t id)
{
    for (size_t i = 0; i < zygote->count; i++)
        if (zygote->children[i].id == id)
            return &zygote->children[i];
    return NULL;
}

static struct child *find_pid(struct zygote_process *zygote, pid_t pid)
{
    for (size_t i = 0; i < zygote->count; i++)
        if (zygote->children[i].pid == pid)
            return &zygote->children[i];
    return NULL;
}

/* False when the socket is full; a loop that has gone is seen as the end of the socket. */
static bool send_end(const struct zygote_process *zygote, const struct zygote_message *message)
{
    ssize_t n;
    while ((n = send(zygote->fd, message, sizeof *message, MSG_NOSIGNAL | MSG_DONTWAIT)) < 0 &&
           errno == EINTR)
        ;
    return n >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

static void flush_ends(struct zygote_process *zygote)
{
    while (zygote->end_count && send_end(zygote, &zygote->ends[zygote->first_end])) {
        zygote->first_end = (zygote->first_end + 1) % ENDS_MAX;
        zygote->end_count--;
    }
}

/* Never waits for a loop that is busy: the lease must be looked at. */
static void tell_end(struct zygote_process *zygote, uint64_t id, int status, bool expired)
{
    struct zygote_message message = {
        .op = ZYGOTE_ENDED,
        .id = id,
        .status = status,
        .end = expired ? ZYGOTE_RUN_EXPIRED : ZYGOTE_RUN_ENDED,
    };
    flush_ends(zygote);
    if (!zygote->end_count && send_end(zygote, &message))
        return;
    if (!zygote->ends)
        zygote->ends = mem_alloc(ENDS_MAX * sizeof *zygote->ends);
    if (zygote->end_count < ENDS_MAX)
        zygote->ends[(zygote->first_end + zygote->end_count++) % ENDS_MAX] = message;
}

static void limit(int what, rlim_t soft, rlim_t hard)
{
    struct rlimit now;
    if (getrlimit(what, &now) < 0)
        return;
    now.rlim_max = hard < now.rlim_max ? hard : now.rlim_max;
    now.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
    setrlimit(what, &now);
}

static void set_limits(void)
{
    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_NOFILE, RUN_FILES_MAX, RUN_FILES_MAX);
    limit(RLIMIT_FSIZE, (rlim_t)4 << 30, (rlim_t)4 << 30);
    limit(RLIMIT_CPU, 3600, 3600);
    /* A sanitizer's shadow memory is larger than any limit that would make sense. */
    if (!SANITIZED)
        limit(RLIMIT_DATA, RUN_MEMORY_MAX, RLIM_INFINITY);
}

static void become_run(const struct zygote_process *zygote, int fd, pid_t parent)
{
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* An isolated run has no parent that it could name, but the kernel ends it with the zygote. */
    if (zygote->own >= 0 ? isolation_enter() != ISOLATION_OK : getppid() != parent)
        _exit(1);
    close(zygote->fd);
    close(zygote->signals);
    if (zygote->own >= 0)
        close(zygote->own);
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP}; /* exec would hand that on */
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    /* Its tool servers have the same user id: they could read its memory, in which all servers'
     * settings are, and take its socket to speak to the worker in its name. */
    prctl(PR_SET_DUMPABLE, 0);
    set_limits();
    _exit(run_main(fd));
}

static void start(struct zygote_process *zygote, uint64_t id, int fd)
{
    pid_t self = getpid(), pid = -1;
    if (fd >= 0 && zygote->count < RUNS_MAX && clock_ms() < zygote->lease_until)
        pid = zygote->own >= 0 ? isolation_fork(zygote->own) : fork();
    if (pid == 0)
        become_run(zygote, fd, self);
    if (fd >= 0)
        close(fd);
    if (pid < 0) {
        tell_end(zygote, id, 0xff00, clock_ms() >= zygote->lease_until);
        return;
    }
    setpgid(pid, pid); /* both sides do it: whoever comes first */
    if (zygote->count == zygote->room) {
        zygote->room = zygote->room ? zygote->room * 2 : 64;
        zygote->children = mem_resize(zygote->children, zygote->room * sizeof *zygote->children);
    }
    zygote->children[zygote->count++] = (struct child){.id = id, .pid = pid};
}

/* Its group first; what left the group is found as an orphan when the run has died. */
static void kill_child(const struct child *child)
{
    kill(child->pid, SIGKILL);
    kill(-child->pid, SIGKILL);
}

static void kill_all(struct zygote_process *zygote)
{
    for (size_t i = 0; i < zygote->count; i++) {
        zygote->children[i].expired = true;
        kill_child(&zygote->children[i]);
    }
}

static void kill_orphan(void *arg, pid_t pid)
{
    struct zygote_process *zygote = arg;
    if (!find_pid(zygote, pid))
        kill(pid, SIGKILL);
}

/* Reaps what has ended. A dead run's descendants have become children of the zygote by then: those
 * are killed, and their own children come here in turn, each death waking this again. */
static void reap(struct zygote_process *zygote)
{
    siginfo_t info = {0};
    bool any = false;
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
        pid_t pid = info.si_pid;
        struct child *child = find_pid(zygote, pid);
        if (child)
            kill(-pid, SIGKILL); /* before it is reaped: the number is still its own */
        int status = 0;
        waitpid(pid, &status, 0);
        if (child) {
            struct child ended = *child;
            *child = zygote->children[--zygote->count];
            proc_each_child(kill_orphan, zygote);
            tell_end(zygote, ended.id, status, ended.expired);
        }
        any = true;
        info.si_pid = 0;
    }
    if (any)
        proc_each_child(kill_orphan, zygote);
}

/* One message; false at the socket's end. */
static bool receive(struct zygote_process *zygote)
{
    struct zygote_message message;
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {&message, sizeof message};
    struct msghdr head = {.msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control};
    ssize_t n = recvmsg(zygote->fd, &head, MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EINTR;
    if (n != sizeof message)
        return false;
    int fd = -1;
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&head);
    if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(cmsg), sizeof fd);
    if (message.op == ZYGOTE_START) {
        start(zygote, message.id, fd);
        return true;
    }
    struct child *child = message.op == ZYGOTE_KILL ? find_id(zygote, message.id) : NULL;
    if (child)
        kill_child(child);
    if (message.op == ZYGOTE_LEASE)
        zygote->lease_until = message.until;
    return true;
}

static void check_lease(struct zygote_process *zygote)
{
    if (zygote->count && clock_ms() >= zygote->lease_until)
        kill_all(zygote);
}

static int next_wait(const struct zygote_process *zygote)
{
    int64_t left = zygote->lease_until - clock_ms();
    if (!zygote->count || left > 60000)
        return 60000;
    return left < 5 ? 5 : (int)left; /* killed ones that are not reaped yet: not a busy loop */
}

/* The worker has gone: everything ends, escaped daemons included. */
static void stop(struct zygote_process *zygote)
{
    int64_t until = clock_ms() + STOP_MS;
    kill_all(zygote);
    while (clock_ms() < until) {
        kill_all(zygote);
        siginfo_t info = {0};
        while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid) {
            struct child *child = find_pid(zygote, info.si_pid);
            if (child)
                *child = zygote->children[--zygote->count];
            info.si_pid = 0;
        }
        if (!proc_each_child(kill_orphan, zygote))
            return;
        poll(NULL, 0, 2);
    }
}

void zygote_main(int fd, int own)
{
    struct zygote_process zygote = {.fd = fd, .own = own};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    zygote.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "mcpbus-zygote");
    for (bool open = true; open;) {
        /* While its own word finds no room it takes no more orders than it can answer. */
        short in = zygote.end_count < RUNS_MAX ? POLLIN : 0;
        short out = zygote.end_count ? POLLOUT : 0;
        struct pollfd fds[2] = {{.fd = fd, .events = (short)(in | out)},
                                {.fd = zygote.signals, .events = POLLIN}};
        int ready = poll(fds, 2, next_wait(&zygote));
        check_lease(&zygote);
        if (ready > 0 && fds[0].revents & POLLOUT)
            flush_ends(&zygote);
        if (ready > 0 && fds[0].revents & ~POLLOUT)
            open = receive(&zygote);
        if (ready > 0 && fds[1].revents) {
            struct signalfd_siginfo info;
            while (read(zygote.signals, &info, sizeof info) == sizeof info)
                open = open && info.ssi_signo != SIGUSR1;
            reap(&zygote);
        }
    }
    stop(&zygote);
    free(zygote.children);
    free(zygote.ends);
}
