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

struct process {
    pid_t pid, parent;
    int64_t resident;
    bool ours, dead;
};

/* The number that is field `n` of what follows the name; the first such field, 3 by proc(5)'s
 * count, is the state. −1: there is none. */
static int64_t field(const char *text, int n)
{
    for (int i = 3; text && i < n; i++) {
        text = strchr(text, ' ');
        text = text ? text + 1 : NULL;
    }
    return text ? strtoll(text, NULL, 10) : -1;
}

/* "PID (name) state PPID …", where the name may hold anything (proc(5)). */
static bool read_stat(const char *pid, struct process *ret_process)
{
    enum { PARENT = 4, RESIDENT = 24 };
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *end = strrchr(text, ')');
    if (!end || strlen(end) < 4)
        return false;
    end += 2;
    *ret_process = (struct process){
        .pid = (pid_t)strtol(pid, NULL, 10),
        .parent = (pid_t)field(end, PARENT),
        .resident = field(end, RESIDENT) * sysconf(_SC_PAGESIZE),
        .dead = *end == 'Z' || *end == 'X',
    };
    return true;
}

static struct process *read_all(size_t *ret_count)
{
    struct process *all = NULL;
    size_t count = 0, room = 0;
    DIR *dir = opendir("/proc");
    if (!dir)
        return NULL;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        if (count == room) {
            room = room ? room * 2 : 64;
            all = mem_resize(all, room * sizeof *all);
        }
        if (read_stat(entry->d_name, &all[count]))
            count++;
    }
    closedir(dir);
    *ret_count = count;
    return all;
}

static bool is_ours(const struct process *all, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++)
        if (all[i].pid == pid)
            return all[i].ours;
    return pid == getpid();
}

/* Parents mostly come before their children; not always, as numbers are used again. */
static void mark_ours(struct process *all, size_t count)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < count; i++) {
            if (all[i].ours || all[i].pid == getpid())
                continue;
            all[i].ours = all[i].parent == getpid() || is_ours(all, count, all[i].parent);
            more = more || all[i].ours;
        }
    }
}

void proc_each_descendant(void (*fn)(void *arg, pid_t pid, int64_t resident), void *arg)
{
    size_t count = 0;
    AUTOFREE struct process *all = read_all(&count);
    if (getpid() == 1) /* of a namespace: all in it are */
        for (size_t i = 0; i < count; i++)
            all[i].ours = all[i].pid != 1;
    else
        mark_ours(all, count);
    for (size_t i = 0; i < count; i++)
        if (all[i].ours && !all[i].dead)
            fn(arg, all[i].pid, all[i].resident);
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
        struct process one;
        if (!isdigit((unsigned char)entry->d_name[0]) || !read_stat(entry->d_name, &one) ||
            one.parent != getpid())
            continue;
        fn(arg, one.pid);
        count++;
    }
    closedir(dir);
    return count;
}
