#include "services/worker/run_watch.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "libcommon/mem.h"
#include "services/worker/proc.h"

enum { LOOK_MS = 250, ROUNDS_MAX = 50, MIB = 1 << 20 };

struct run_watch {
    struct run_watch_options options;
    struct loop_timer *timer;
};

struct use {
    int64_t processes, memory;
};

static void add_use(void *arg, pid_t pid, int64_t resident)
{
    struct use *use = arg;
    (void)pid;
    use->processes++;
    use->memory += resident;
}

static void kill_one(void *arg, pid_t pid, int64_t resident)
{
    (void)resident;
    if (kill(pid, SIGKILL) == 0)
        ++*(size_t *)arg;
}

/* Init of a namespace of its own reaches all of it at once, and nothing else. Elsewhere one that
 * forks meanwhile may be missed: again, until there is none left. */
static void kill_all(void)
{
    size_t killed = 1;
    if (getpid() == 1) {
        kill(-1, SIGKILL);
        return;
    }
    for (int i = 0; i < ROUNDS_MAX && killed; i++) {
        killed = 0;
        proc_each_descendant(kill_one, &killed);
    }
}

static void look(void *arg)
{
    struct run_watch *watch = arg;
    const struct run_watch_options *options = &watch->options;
    char why[160] = "";
    struct use use = {0};
    proc_each_descendant(add_use, &use);
    if (use.processes > options->processes_max)
        snprintf(why, sizeof why, "The tool servers had more than %lld processes and were ended.",
                 (long long)options->processes_max);
    else if (use.memory > options->memory_max)
        snprintf(why, sizeof why, "The tool servers used more than %lld MiB and were ended.",
                 (long long)options->memory_max / MIB);
    if (*why)
        kill_all();
    if (use.processes)
        loop_timer_start(watch->timer, LOOK_MS);
    if (*why)
        options->exceeded(options->arg, why);
}

struct run_watch *run_watch_new(const struct run_watch_options *options)
{
    struct run_watch *watch = mem_alloc(sizeof *watch);
    watch->options = *options;
    watch->timer = loop_timer_new(options->loop, look, watch);
    return watch;
}

void run_watch_destroy(struct run_watch **watch_p)
{
    struct run_watch *watch = *watch_p;
    if (!watch)
        return;
    *watch_p = NULL;
    loop_timer_destroy(&watch->timer);
    free(watch);
}

void run_watch_arm(struct run_watch *watch)
{
    if (!loop_timer_active(watch->timer))
        loop_timer_start(watch->timer, LOOK_MS);
}
