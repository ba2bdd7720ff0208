#include "services/worker/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/mem.h"

/* The kernel's own list; false where it was built without it. */
static bool from_children_file(void (*fn)(void *, pid_t), void *arg, size_t *count)
{
    AUTOFREE char *path = mem_printf("/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    char *pid = NULL;
    size_t size = 0;
    while (getdelim(&pid, &size, ' ', file) > 0) {
        fn(arg, (pid_t)strtol(pid, NULL, 10));
        ++*count;
    }
    free(pid);
    fclose(file);
    return true;
}

/* "PID (name) state PPID …", where the name may hold anything. */
static pid_t parent_of(const char *pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *end = strrchr(text, ')');
    return end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : -1;
}

size_t proc_each_child(void (*fn)(void *arg, pid_t pid), void *arg)
{
    size_t count = 0;
    if (from_children_file(fn, arg, &count))
        return count;
    DIR *dir = opendir("/proc");
    if (!dir)
        return 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!isdigit((unsigned char)entry->d_name[0]) || parent_of(entry->d_name) != getpid())
            continue;
        fn(arg, (pid_t)strtol(entry->d_name, NULL, 10));
        count++;
    }
    closedir(dir);
    return count;
}
