#include "services/google/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcommon/clock.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"

#define PROGRAM "mcpbus-files"
enum { PATIENCE_MS = 30 * 1000, CHUNK = 64 * 1024 };

/* The data as a file that the child has as its standard input; −1: there is no memory. */
static int as_file(const void *data, size_t len)
{
    int fd = memfd_create("mcpbus-files", MFD_CLOEXEC);
    const char *at = data;
    while (fd >= 0 && len) {
        ssize_t n = write(fd, at, len);
        if (n <= 0) {
            close(fd);
            return -1;
        }
        at += n;
        len -= (size_t)n;
    }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

/* This program's folder has the other one too. */
static const char *beside(char path[PATH_MAX])
{
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - sizeof PROGRAM);
    while (len > 0 && path[len - 1] != '/')
        len--;
    memcpy(path + (len > 0 ? len : 0), PROGRAM, sizeof PROGRAM);
    return path;
}

static void become_worker(int in, int out, const char *kind)
{
    char path[PATH_MAX];
    char *const argv[] = {PROGRAM, (char *)kind, NULL};
    char *const environment[] = {"LANG=C.UTF-8", NULL};
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
        dup2(nowhere, STDERR_FILENO) >= 0)
        execve(beside(path), argv, environment);
    _exit(ERR_NO_SERVICE);
}

static pid_t start_worker(const void *data, size_t len, const char *kind, int *ret_fd)
{
    int pipes[2], file = as_file(data, len);
    if (file < 0 || pipe2(pipes, O_CLOEXEC) < 0) {
        if (file >= 0)
            close(file);
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0)
        become_worker(file, pipes[1], kind);
    close(file);
    close(pipes[1]);
    if (pid > 0)
        *ret_fd = pipes[0];
    else
        close(pipes[0]);
    return pid;
}

/* What fits of it: a character that is cut is the caller's to mend. */
static void add_fitting(struct buf *out, const char *data, size_t len)
{
    size_t room = out->max - out->len;
    buf_add(out, data, len < room ? len : room);
    out->full = out->full || len > room;
}

/* Reads until the worker ends its output, and no longer than the tool call may take. */
static enum err read_output(struct api *api, int fd, struct buf *out)
{
    int64_t end = clock_ms() + PATIENCE_MS;
    char *chunk = mem_alloc(CHUNK);
    bool open = true;
    enum err err = ERR_OK;
    while (open && !err && !out->full) {
        err = api_wait_readable(api, fd, end - clock_ms());
        ssize_t n = err ? 0 : read(fd, chunk, CHUNK);
        open = n > 0 || (n < 0 && errno == EINTR);
        if (n > 0)
            add_fitting(out, chunk, (size_t)n);
    }
    free(chunk);
    return err;
}

static enum err end_worker(pid_t pid, enum err err, bool full)
{
    int status = 0;
    if (err || full)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (err)
        return err;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        return ERR_TIMEOUT;
    if (full)
        return ERR_OK;
    return WIFEXITED(status) ? (enum err)WEXITSTATUS(status) : ERR_INTERNAL;
}

enum err files_run(struct api *api, const char *job, const void *data, size_t len, struct buf *out)
{
    int fd = -1;
    if (len > FILES_INPUT_MAX)
        return ERR_TOO_LARGE;
    pid_t pid = start_worker(data, len, job, &fd);
    if (pid < 0)
        return ERR_INTERNAL;
    enum err err = read_output(api, fd, out);
    close(fd);
    err = end_worker(pid, err, out->full);
    log_debug("file_worked_on", LOG_S("job", job), LOG_S("outcome", err_name(err)));
    return err;
}
