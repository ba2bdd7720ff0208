#include "libmcp/mcp_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

/* In the child, where only async-signal-safe calls would be allowed after a fork of threads; the
 * run has one thread. Does not return. */
static void child_exec(const char *command, char **argv, char **envp, const int *fds, int report,
                       pid_t parent)
{
    struct rlimit limit;
    sigset_t none;
    sigemptyset(&none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i], i) < 0)
            _exit(127);
    if (report != 3 && dup2(report, 3) != 3)
        _exit(127);
    fcntl(3, F_SETFD, FD_CLOEXEC);
    close_range(4, ~0U, 0);
    /* The run's own limit of memory is no measure for a server's runtime. */
    if (getrlimit(RLIMIT_DATA, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_DATA, &limit);
    }
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    environ = envp;
    execvp(command, argv);
    int error = errno;
    ssize_t n = write(3, &error, sizeof error);
    _exit(n == sizeof error ? 127 : 126);
}

static char **make_argv(const char *command, const json_t *args)
{
    size_t count = json_array_size(args);
    char **argv = mem_alloc((count + 2) * sizeof *argv);
    argv[0] = mem_strdup(command);
    for (size_t i = 0; i < count; i++) {
        const char *arg = json_string_value(json_array_get(args, i));
        argv[i + 1] = mem_strdup(arg ? arg : "");
    }
    return argv;
}

static char **make_envp(json_t *env)
{
    const char *key;
    json_t *value;
    size_t count = 0;
    char **envp = mem_alloc((json_object_size(env) + 1) * sizeof *envp);
    json_object_foreach(env, key, value) envp[count++] =
        mem_printf("%s=%s", key, json_is_string(value) ? json_string_value(value) : "");
    return envp;
}

static void free_list(char **list)
{
    for (char **text = list; *text; text++)
        mem_free_secret(text);
    free(list);
}

static void close_all(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* Four pipes: input, output, error, and one that reports a failed exec. Each end above 3, so that
 * the child's dup2 steps on none. */
static bool make_pipes(int pipes[4][2])
{
    for (int i = 0; i < 4; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
            return false;
        for (int j = 0; j < 2; j++) {
            pipes[i][j] = fcntl(ends[j], F_DUPFD_CLOEXEC, 4);
            close(ends[j]);
        }
        if (pipes[i][0] < 0 || pipes[i][1] < 0)
            return false;
    }
    return true;
}

static pid_t spawn(const char *command, const json_t *args, json_t *env, int pipes[4][2],
                   int *ret_errno)
{
    char **argv = make_argv(command, args), **envp = make_envp(env);
    const int child_fds[3] = {pipes[0][0], pipes[1][1], pipes[2][1]};
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        child_exec(command, argv, envp, child_fds, pipes[3][1], parent);
    *ret_errno = pid < 0 ? errno : 0;
    free_list(argv);
    free_list(envp);
    if (pid < 0)
        return -1;
    close(pipes[3][1]);
    pipes[3][1] = -1;
    int error;
    if (read(pipes[3][0], &error, sizeof error) == sizeof error) {
        waitpid(pid, NULL, 0);
        *ret_errno = error;
        return -1;
    }
    return pid;
}

static void unblock(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* A number may be another process's by the time that it is used; a descriptor is not. */
static enum err adopt(pid_t pid, int pipes[4][2], struct mcp_child *child)
{
    *child = (struct mcp_child){
        .pid_fd = pidfd_open(pid, 0), .in = pipes[0][1], .out = pipes[1][0], .err = pipes[2][0]};
    if (child->pid_fd < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return ERR_UPSTREAM;
    }
    close(pipes[0][0]);
    close(pipes[1][1]);
    close(pipes[2][1]);
    close(pipes[3][0]);
    unblock(child->in);
    unblock(child->out);
    unblock(child->err);
    return ERR_OK;
}

enum err mcp_spawn(const char *command, const json_t *args, const json_t *env,
                   struct mcp_child *ret_child, char ret_why[MCP_WHY_SIZE_MAX])
{
    int pipes[4][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    int error = EMFILE;
    struct mcp_child child;
    AUTOJSON json_t *own_env = json_deep_copy(env); /* its iteration marks it */
    pid_t pid = make_pipes(pipes) ? spawn(command, args, own_env, pipes, &error) : -1;
    if (pid < 0 || adopt(pid, pipes, &child)) {
        close_all(&pipes[0][0], 8);
        snprintf(ret_why, MCP_WHY_SIZE_MAX, "%.80s could not be started: %s", command,
                 strerror(error ? error : EMFILE));
        return ERR_UPSTREAM;
    }
    *ret_child = child;
    return ERR_OK;
}

bool mcp_child_ended(struct mcp_child *child)
{
    siginfo_t info = {0};
    if (child->pid_fd < 0)
        return true;
    int rc = waitid(P_PIDFD, (id_t)child->pid_fd, &info, WEXITED | WNOHANG);
    if (rc == 0 && !info.si_pid)
        return false;
    if (rc < 0 && errno != ECHILD)
        return false;
    close(child->pid_fd);
    child->pid_fd = -1;
    return true;
}

void mcp_child_signal(const struct mcp_child *child, int signo)
{
    if (child->pid_fd >= 0)
        pidfd_send_signal(child->pid_fd, signo, NULL, 0);
}
