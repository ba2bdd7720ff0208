#include "libmcp/mcp_stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/clock.h"
#include "libmcp/mcp_message.h"

enum {
    OUT_MAX = 8 << 20,
    READ_CHUNK = 64 << 10,
    STDERR_LOGGED_MAX = 8 << 10,
    STDERR_LINE_MAX = 1024,
    SECRET_MIN = 6,
    STOP_STEP_MS = 300,
};

struct mcp_stdio {
    char *name;
    pid_t pid; /* 0: reaped */
    int in, out, err;
    struct buf to, from, log;
    size_t taken;  /* bytes of `from` that the last line took */
    size_t logged; /* bytes of its standard error that were logged */
    bool ended;
    json_t *env; /* its values never reach the log */
};

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

enum err mcp_stdio_start(const char *name, const char *command, const json_t *args,
                         const json_t *env, struct mcp_stdio **ret_stdio,
                         char ret_why[MCP_STDIO_WHY_SIZE])
{
    int pipes[4][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    int error = EMFILE;
    AUTOJSON json_t *own_env = json_deep_copy(env);
    pid_t pid = make_pipes(pipes) ? spawn(command, args, own_env, pipes, &error) : -1;
    if (pid < 0) {
        close_all(&pipes[0][0], 8);
        snprintf(ret_why, MCP_STDIO_WHY_SIZE, "%.80s could not be started: %s", command,
                 strerror(error));
        return ERR_UPSTREAM;
    }
    struct mcp_stdio *stdio = mem_alloc(sizeof *stdio);
    stdio->name = mem_strdup(name);
    stdio->pid = pid;
    stdio->in = pipes[0][1];
    stdio->out = pipes[1][0];
    stdio->err = pipes[2][0];
    stdio->env = json_incref(own_env);
    close(pipes[0][0]);
    close(pipes[1][1]);
    close(pipes[2][1]);
    close(pipes[3][0]);
    unblock(stdio->in);
    unblock(stdio->out);
    unblock(stdio->err);
    buf_init(&stdio->to, OUT_MAX);
    buf_init(&stdio->from, MCP_LINE_MAX + READ_CHUNK);
    buf_init(&stdio->log, STDERR_LINE_MAX);
    *ret_stdio = stdio;
    return ERR_OK;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void mcp_stdio_destroy(struct mcp_stdio **stdio_p)
{
    struct mcp_stdio *stdio = *stdio_p;
    if (!stdio)
        return;
    *stdio_p = NULL;
    close_fd(&stdio->in);
    close_fd(&stdio->out);
    close_fd(&stdio->err);
    buf_fini(&stdio->to);
    buf_fini(&stdio->from);
    buf_fini(&stdio->log);
    json_decref(stdio->env);
    free(stdio->name);
    free(stdio);
}

static void write_some(struct mcp_stdio *stdio)
{
    while (stdio->to.len && stdio->in >= 0) {
        ssize_t n = write(stdio->in, stdio->to.data, stdio->to.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            close_fd(&stdio->in); /* its answers so far are still read */
            return;
        }
        buf_consume(&stdio->to, (size_t)n);
    }
}

enum err mcp_stdio_send(struct mcp_stdio *stdio, const json_t *message)
{
    AUTOFREE char *text = js_dump(message);
    size_t len = strlen(text);
    if (stdio->in < 0)
        return ERR_PEER_LOST;
    if (stdio->to.len + len + 1 > OUT_MAX)
        return ERR_TOO_LARGE;
    buf_add(&stdio->to, text, len);
    buf_add_char(&stdio->to, '\n');
    write_some(stdio);
    return ERR_OK;
}

void mcp_stdio_poll_fds(const struct mcp_stdio *stdio, struct pollfd *ret_fds)
{
    ret_fds[0] = (struct pollfd){.fd = stdio->to.len ? stdio->in : -1, .events = POLLOUT};
    ret_fds[1] = (struct pollfd){.fd = stdio->ended ? -1 : stdio->out, .events = POLLIN};
    ret_fds[2] = (struct pollfd){.fd = stdio->err, .events = POLLIN};
}

/* What a server was given in its environment does not belong into a log. */
static char *without_secrets(const struct mcp_stdio *stdio, const char *line)
{
    char *text = mem_strdup(line);
    const char *key;
    json_t *value;
    json_object_foreach(stdio->env, key, value)
    {
        const char *secret = json_string_value(value);
        size_t len = secret ? strlen(secret) : 0;
        if (len < SECRET_MIN)
            continue;
        for (char *at = text; (at = strstr(at, secret)); at += len)
            memset(at, '*', len);
    }
    return text;
}

static void log_stderr_line(struct mcp_stdio *stdio)
{
    if (stdio->log.len && stdio->logged < STDERR_LOGGED_MAX) {
        AUTOFREE char *text = without_secrets(stdio, buf_text(&stdio->log));
        log_debug("mcp_server_says", LOG_S("server", stdio->name), LOG_S("text", text));
        stdio->logged += stdio->log.len;
    }
    buf_reset(&stdio->log);
}

static void read_stderr(struct mcp_stdio *stdio)
{
    char chunk[4096];
    ssize_t n = read(stdio->err, chunk, sizeof chunk);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        log_stderr_line(stdio);
        close_fd(&stdio->err);
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (chunk[i] == '\n')
            log_stderr_line(stdio);
        else
            buf_add_char(&stdio->log, chunk[i]); /* what is over a line's limit is dropped */
    }
}

static void read_stdout(struct mcp_stdio *stdio)
{
    char *room = buf_reserve(&stdio->from, READ_CHUNK);
    ssize_t n = room ? read(stdio->out, room, READ_CHUNK) : 0;
    if (n > 0) {
        stdio->from.len += (size_t)n;
        stdio->from.data[stdio->from.len] = '\0';
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        stdio->ended = true;
    }
}

void mcp_stdio_ready(struct mcp_stdio *stdio, const struct pollfd *fds)
{
    if (fds[0].revents)
        write_some(stdio);
    if (fds[1].revents)
        read_stdout(stdio);
    if (fds[2].revents && stdio->err >= 0)
        read_stderr(stdio);
}

bool mcp_stdio_line(struct mcp_stdio *stdio, const char **ret_line, size_t *ret_len)
{
    buf_consume(&stdio->from, stdio->taken);
    stdio->taken = 0;
    const char *data = buf_text(&stdio->from);
    const char *end = memchr(data, '\n', stdio->from.len);
    if (!end)
        return false;
    *ret_line = data;
    *ret_len = (size_t)(end - data);
    stdio->taken = *ret_len + 1;
    return true;
}

bool mcp_stdio_ended(const struct mcp_stdio *stdio)
{
    return stdio->ended;
}

void mcp_stdio_reap(struct mcp_stdio *const *stdios, size_t count)
{
    siginfo_t info = {0};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid) {
        for (size_t i = 0; i < count; i++)
            if (stdios[i]->pid == info.si_pid)
                stdios[i]->pid = 0;
        info.si_pid = 0;
    }
}

/* Drains and reaps until all have ended or the time is up; how many are left. */
static size_t wait_for_ends(struct mcp_stdio *const *stdios, size_t count, int64_t until)
{
    for (;;) {
        size_t left = 0;
        for (size_t i = 0; i < count; i++) {
            struct mcp_stdio *stdio = stdios[i];
            if (stdio->pid && waitpid(stdio->pid, NULL, WNOHANG) == stdio->pid)
                stdio->pid = 0;
            left += stdio->pid != 0;
        }
        if (!left || clock_ms() >= until)
            return left;
        poll(NULL, 0, 2);
    }
}

static void signal_all(struct mcp_stdio *const *stdios, size_t count, int signo)
{
    for (size_t i = 0; i < count; i++)
        if (stdios[i]->pid)
            kill(stdios[i]->pid, signo);
}

void mcp_stdio_stop(struct mcp_stdio *const *stdios, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        close_fd(&stdios[i]->in);
        close_fd(&stdios[i]->out);
        close_fd(&stdios[i]->err);
    }
    if (!wait_for_ends(stdios, count, clock_ms() + STOP_STEP_MS))
        return;
    signal_all(stdios, count, SIGTERM);
    if (!wait_for_ends(stdios, count, clock_ms() + STOP_STEP_MS))
        return;
    signal_all(stdios, count, SIGKILL);
    if (wait_for_ends(stdios, count, clock_ms() + STOP_STEP_MS))
        log_warning("mcp_server_outlives_its_run");
}
