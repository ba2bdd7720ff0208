#include "services/worker/isolation.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIT(capability) (UINT64_C(1) << (capability))

/* Of root's rights a run keeps those over files and its own processes. SYS_ADMIN would unmount its
 * /proc to see the one below, SYS_PTRACE, NET_RAW and MKNOD look past it. */
static const uint64_t KEPT = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) |
                             BIT(CAP_FSETID) | BIT(CAP_KILL) | BIT(CAP_SETGID) | BIT(CAP_SETUID) |
                             BIT(CAP_NET_BIND_SERVICE);

void isolation_why(enum isolation_step step, int error, char ret_why[ISOLATION_WHY_SIZE])
{
    static const char *const names[] = {
        [ISOLATION_OK] = "",
        [ISOLATION_UNWANTED] = "not asked for",
        [ISOLATION_UNSHARE] = "no right to make namespaces",
        [ISOLATION_IDS] = "the user namespace takes no ids",
        [ISOLATION_MOUNTS] = "mounts can't be made private",
        [ISOLATION_PROC] = "/proc can't be mounted",
        [ISOLATION_RUN] = "a run can't have a namespace",
        [ISOLATION_START] = "the zygote did not start in one",
    };
    snprintf(ret_why, ISOLATION_WHY_SIZE, "%s%s%s", names[step], error ? ": " : "",
             error ? strerror(error) : "");
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return ok;
}

static bool map_own_ids(uid_t uid, gid_t gid)
{
    char uids[40], gids[40];
    snprintf(uids, sizeof uids, "%u %u 1", uid, uid);
    snprintf(gids, sizeof gids, "%u %u 1", gid, gid);
    /* Without this an ordinary user may map no group (user_namespaces(7)). */
    return write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/gid_map", gids) &&
           write_text("/proc/self/uid_map", uids);
}

enum isolation_step isolation_unshare(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) == 0)
        return ISOLATION_OK;
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS) < 0)
        return ISOLATION_UNSHARE;
    return map_own_ids(uid, gid) ? ISOLATION_OK : ISOLATION_IDS;
}

static bool mount_proc(void)
{
    return mount("proc", "/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL) == 0;
}

/* The exit status is an errno. */
static bool try_run(int own)
{
    int status = 0;
    pid_t pid = isolation_fork(own);
    if (pid == 0)
        _exit(isolation_enter() ? (errno ? errno : EINVAL) : getpid() == 1 ? 0 : EPERM);
    if (pid < 0)
        return false;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    return errno == 0;
}

enum isolation_step isolation_begin(int *ret_own)
{
    /* Slave, not private: what the system unmounts later must not be held here. */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return ISOLATION_MOUNTS;
    if (!mount_proc())
        return ISOLATION_PROC;
    int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (own < 0)
        return ISOLATION_PROC;
    if (!try_run(own)) {
        close(own);
        return ISOLATION_RUN;
    }
    *ret_own = own;
    return ISOLATION_OK;
}

pid_t isolation_fork(int own)
{
    if (unshare(CLONE_NEWPID) < 0)
        return -1;
    pid_t pid = fork();
    int error = errno;
    /* Should it fail, the next unshare does as well: nothing starts in another's namespace. */
    if (pid != 0)
        setns(own, CLONE_NEWPID);
    errno = error;
    return pid;
}

static bool drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    for (int capability = 0; capability < 64; capability++)
        if (!(KEPT & BIT(capability)) && prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1 &&
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            return false;
    if (syscall(SYS_capget, &head, data) < 0)
        return false;
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(KEPT >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &head, data) == 0;
}

enum isolation_step isolation_enter(void)
{
    if (unshare(CLONE_NEWNS) < 0)
        return ISOLATION_MOUNTS;
    if (!mount_proc())
        return ISOLATION_PROC;
    return drop_capabilities() ? ISOLATION_OK : ISOLATION_RUN;
}
