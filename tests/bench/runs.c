/* What a run costs: from the order to start it until its first question to the model is here, one
 * after the other and in a burst; and the memory of those that wait for the answer. The real zygote
 * and runs, without a tool server. Prints `name: value` lines. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/loop.h"
#include "libcommon/mem.h"
#include "services/worker/frames.h"
#include "services/worker/zygote.h"

enum { LONE = 300, BURST = 1000, TIME_MAX_MS = 60000 };

struct one {
    struct frame_peer *peer;
    double begun, asked; /* seconds */
};

struct bench {
    struct loop *loop;
    struct zygote *zygote;
    struct one runs[LONE + BURST];
    size_t started, asked, wanted, ended;
};

struct frame_arg {
    struct bench *bench;
    size_t index;
};

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static void on_frame(void *arg, json_t *frame)
{
    struct frame_arg *from = arg;
    if (frame && strcmp(js_str(frame, "t", ""), "ask") == 0) {
        from->bench->runs[from->index].asked = now();
        from->bench->asked++;
    }
}

static void on_ended(void *arg, uint64_t id, enum zygote_end end, int status)
{
    (void)id, (void)end, (void)status;
    ((struct bench *)arg)->ended++;
}

static void on_lost(void *arg)
{
    (void)arg;
    fail("the zygote is gone");
}

static bool all_asked(void *arg)
{
    struct bench *bench = arg;
    return bench->asked == bench->wanted;
}

static bool all_ended(void *arg)
{
    struct bench *bench = arg;
    return bench->ended == bench->started;
}

static void start(struct bench *bench)
{
    int ends[2];
    size_t index = bench->started++;
    struct one *one = &bench->runs[index];
    struct frame_arg *arg = mem_alloc(sizeof *arg);
    *arg = (struct frame_arg){bench, index};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        fail("no socketpair: raise the limit of open files");
    AUTOJSON json_t *job = json_pack("{s:s, s:s, s:s, s:[], s:i, s:i, s:i}", "t", "job", "job_id",
                                     "bench", "message", "Hello", "servers", "max_turns", 25,
                                     "tool_timeout_ms", 120000, "soft_ms", 1500000);
    one->begun = now();
    one->peer = frame_peer_new(bench->loop, ends[0], on_frame, arg);
    zygote_start(bench->zygote, index + 1, ends[1]);
    if (frame_peer_send(one->peer, job))
        fail("the job was not taken");
}

static void wait_asked(struct bench *bench, size_t count)
{
    bench->wanted = count;
    if (!loop_run_until(bench->loop, all_asked, bench, TIME_MAX_MS))
        fail("a run did not ask");
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* KiB that could be given to programs. */
static double available(void)
{
    char line[128];
    double kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lf", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib;
}

static void lone(struct bench *bench)
{
    double took[LONE];
    for (size_t i = 0; i < LONE; i++) {
        start(bench);
        wait_asked(bench, bench->started);
        took[i] = (bench->runs[i].asked - bench->runs[i].begun) * 1000;
        zygote_kill(bench->zygote, i + 1);
        if (!loop_run_until(bench->loop, all_ended, bench, TIME_MAX_MS))
            fail("a run did not end");
    }
    qsort(took, LONE, sizeof *took, by_size);
    printf("start_p50_ms: %.3f\nstart_p99_ms: %.3f\n", took[LONE / 2], took[LONE * 99 / 100]);
}

static void burst(struct bench *bench)
{
    double before = available(), begun = now();
    for (size_t i = 0; i < BURST; i++)
        start(bench);
    wait_asked(bench, bench->started);
    double took = now() - begun;
    usleep(500 * 1000); /* the last ones have asked, and give back what they don't need */
    printf("starts_per_second: %.0f\nwaiting_kib_each: %.0f\n", BURST / took,
           (before - available()) / BURST);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    bool isolate = argc < 2 || strcmp(argv[1], "--shared") != 0;
    if (zygote_fork(isolate, NULL, NULL, &bench.zygote))
        fail("no zygote");
    bench.loop = loop_new();
    struct zygote_events events = {on_ended, on_lost, &bench};
    zygote_attach(bench.zygote, bench.loop, &events);
    zygote_lease(bench.zygote, clock_ms() + 600000);
    lone(&bench);
    burst(&bench);
    zygote_destroy(&bench.zygote);
    return 0;
}
