#include "services/google/local_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096, PART_MAX = 256, PARTS_MAX = 64 };

/* What follows the folder in the path; NULL: it lies elsewhere. */
static const char *below(const char *folder, const char *path)
{
    size_t len = strlen(folder);
    if (*path != '/')
        return path;
    while (len > 1 && folder[len - 1] == '/')
        len--;
    if (strncmp(path, folder, len) != 0 || path[len] != '/')
        return NULL;
    return path + len + strspn(path + len, "/");
}

/* The next part of the path, or false: none, or one that leads up. */
static bool next_part(const char **at, char part[PART_MAX])
{
    size_t len = strcspn(*at, "/");
    if (len == 0 || len >= PART_MAX)
        return false;
    memcpy(part, *at, len);
    part[len] = '\0';
    *at += len;
    *at += strspn(*at, "/");
    return strcmp(part, "..") != 0;
}

/* Goes down part by part, so that no link, wherever it stands, is followed. */
static enum err descend(int folder, const char *path, int *ret_fd)
{
    char part[PART_MAX];
    int at = folder;
    for (int parts = 0; parts < PARTS_MAX && next_part(&path, part); parts++) {
        bool last = !*path;
        int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
        int next = openat(at, part, last ? flags : flags | O_DIRECTORY | O_PATH);
        int failed = errno;
        if (at != folder)
            close(at);
        if (next < 0)
            return failed == ENOENT || failed == ENOTDIR ? ERR_NOT_FOUND : ERR_DENIED;
        at = next;
        if (last) {
            *ret_fd = at;
            return ERR_OK;
        }
    }
    if (at != folder)
        close(at);
    return ERR_DENIED;
}

static enum err check_file(int fd, int64_t max, int64_t *ret_size, char *ret_why)
{
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        snprintf(ret_why, LOCAL_WHY_SIZE, "That is not a regular file.");
        return ERR_DENIED;
    }
    if (info.st_size > max) {
        snprintf(ret_why, LOCAL_WHY_SIZE, "The file has %lld bytes; at most %lld can be uploaded.",
                 (long long)info.st_size, (long long)max);
        return ERR_DENIED;
    }
    *ret_size = info.st_size;
    return ERR_OK;
}

static enum err open_below(const char *folder, const char *path, int *ret_fd)
{
    int root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_PATH);
    if (root < 0)
        return ERR_NOT_FOUND;
    enum err err = descend(root, path, ret_fd);
    close(root);
    return err;
}

enum err local_open(const char *folder, const char *path, int64_t max, int *ret_fd,
                    int64_t *ret_size, char ret_why[LOCAL_WHY_SIZE])
{
    int fd = -1;
    const char *rest = strlen(path) < PATH_MAX_BYTES ? below(folder, path) : NULL;
    enum err err = rest ? open_below(folder, rest, &fd) : ERR_DENIED;
    if (err) {
        snprintf(ret_why, LOCAL_WHY_SIZE,
                 err == ERR_NOT_FOUND
                     ? "There is no such file in the folder from which files may be uploaded."
                     : "Only files in the folder that is set up for uploads may be uploaded; links "
                       "are not followed.");
        return err;
    }
    err = check_file(fd, max, ret_size, ret_why);
    if (err) {
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return ERR_OK;
}
