#include "services/files/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CPU_SECONDS = 20, FILES_MAX = 64 };
#define MEMORY_MAX ((rlim_t)768 * 1024 * 1024)

static void limit(int what, rlim_t most)
{
    struct rlimit limits = {most, most};
    setrlimit(what, &limits);
}

/* What no reader of files needs, and what an attacker would reach others by. */
static const int denied[] = {
    SCMP_SYS(socket),
    SCMP_SYS(socketpair),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kill),
    SCMP_SYS(tkill),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(truncate), /* which the first version of Landlock lets through */
    SCMP_SYS(chmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(chown),
    SCMP_SYS(fchownat),
    SCMP_SYS(mount),
    SCMP_SYS(bpf),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
};

static enum err deny_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int failed = filter ? 0 : -1;
    for (size_t i = 0; !failed && i < sizeof denied / sizeof *denied; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
    if (!failed)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    return failed ? ERR_INTERNAL : ERR_OK;
}

/* What the libraries read for fonts, encodings and themselves. All other files, those of the user
 * who runs this too, are out of reach, and nothing can be written. */
static const char *const readable[] = {
    "/usr", "/etc", "/lib", "/lib64", "/opt", "/nix", "/var/cache/fontconfig"};

static void add_readable(int rules, const char *path)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
        .parent_fd = open(path, O_PATH | O_CLOEXEC),
    };
    if (rule.parent_fd < 0)
        return;
    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
}

#ifdef __SANITIZE_ADDRESS__
static const bool writes_reports = true; /* into files */
#else
static const bool writes_reports = false;
#endif

/* A kernel without Landlock (before 5.13, or not switched on) goes without. */
static MUST_CHECK enum err hide_files(void)
{
    /* All rights of the first version, which every later one knows. */
    const struct landlock_ruleset_attr all = {.handled_access_fs =
                                                  (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (rules < 0)
        return ERR_OK;
    for (size_t i = 0; i < sizeof readable / sizeof *readable; i++)
        add_readable(rules, readable[i]);
    int failed = (int)syscall(SYS_landlock_restrict_self, rules, 0);
    close(rules);
    return failed ? ERR_INTERNAL : ERR_OK;
}

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum err confine(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, CPU_SECONDS);
    limit(RLIMIT_NOFILE, FILES_MAX);
#ifndef __SANITIZE_ADDRESS__ /* whose shadow memory is larger than that */
    limit(RLIMIT_DATA, MEMORY_MAX);
#endif
    if (!writes_reports && hide_files() != ERR_OK)
        return ERR_INTERNAL;
    return deny_calls();
}
