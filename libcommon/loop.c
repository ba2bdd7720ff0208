#include "libcommon/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/mem.h"

enum { EVENTS_MAX = 128, SOURCES_MAX = 32, PASSES_MAX = 64 };

struct watch {
    loop_fd_fn *fn;
    void *arg;
    uint32_t generation; /* 0: not watched */
};

struct source {
    loop_source_fn *turn;
    void *arg;
};

struct deferred {
    loop_timer_fn *fn;
    void *arg;
};

struct loop_timer {
    struct loop *loop;
    loop_timer_fn *fn;
    void *arg;
    int64_t due;
    size_t index; /* in the heap, SIZE_MAX when inactive */
};

struct loop {
    int epoll_fd, signal_fd;
    bool stopped;
    int64_t now;
    struct watch *watches; /* by fd */
    size_t watch_count;
    uint32_t generation;
    struct loop_timer **heap;
    size_t heap_len, heap_cap;
    struct source sources[SOURCES_MAX];
    size_t source_count;
    struct deferred *deferred;
    size_t deferred_len, deferred_cap;
    loop_signal_fn *on_signal;
    void *signal_arg;
};

static int64_t clock_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct loop *loop_new(void)
{
    struct loop *loop = mem_alloc(sizeof *loop);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert(loop->epoll_fd >= 0);
    loop->signal_fd = -1;
    loop->now = clock_ms();
    return loop;
}

void loop_destroy(struct loop **loop_p)
{
    struct loop *loop = *loop_p;
    if (!loop)
        return;
    if (loop->signal_fd >= 0)
        close(loop->signal_fd);
    close(loop->epoll_fd);
    for (size_t i = 0; i < loop->heap_len; i++)
        loop->heap[i]->index = SIZE_MAX;
    free(loop->watches);
    free(loop->heap);
    free(loop->deferred);
    free(loop);
    *loop_p = NULL;
}

int64_t loop_now(const struct loop *loop)
{
    return loop->now;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

/* ---- file descriptors -------------------------------------------------------------------- */

/* An event carries the fd and the generation of its watch: a stale event of an fd that was closed
 * and opened again within one wake-up finds another generation. */
static uint64_t watch_key(int fd, uint32_t generation)
{
    return (uint64_t)generation << 32 | (uint32_t)fd;
}

static bool is_watched(const struct loop *loop, int fd)
{
    return fd >= 0 && (size_t)fd < loop->watch_count && loop->watches[fd].generation;
}

void loop_fd_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *arg)
{
    assert(fd >= 0 && !is_watched(loop, fd));
    if ((size_t)fd >= loop->watch_count) {
        size_t count = (size_t)fd + 64;
        loop->watches = mem_resize(loop->watches, count * sizeof *loop->watches);
        memset(loop->watches + loop->watch_count, 0,
               (count - loop->watch_count) * sizeof *loop->watches);
        loop->watch_count = count;
    }
    if (++loop->generation == 0)
        loop->generation = 1;
    loop->watches[fd] = (struct watch){fn, arg, loop->generation};
    struct epoll_event ev = {.events = events, .data.u64 = watch_key(fd, loop->generation)};
    int rc = epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
    assert(rc == 0);
    (void)rc;
}

void loop_fd_change(struct loop *loop, int fd, uint32_t events)
{
    assert(is_watched(loop, fd));
    struct epoll_event ev = {.events = events,
                             .data.u64 = watch_key(fd, loop->watches[fd].generation)};
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &ev);
}

void loop_fd_remove(struct loop *loop, int fd)
{
    if (!is_watched(loop, fd))
        return;
    loop->watches[fd].generation = 0;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* ---- timers: a binary heap ordered by due time ------------------------------------------- */

static void heap_put(struct loop *loop, size_t i, struct loop_timer *timer)
{
    loop->heap[i] = timer;
    timer->index = i;
}

static void heap_up(struct loop *loop, size_t i, struct loop_timer *timer)
{
    while (i > 0 && loop->heap[(i - 1) / 2]->due > timer->due) {
        heap_put(loop, i, loop->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(loop, i, timer);
}

static void heap_down(struct loop *loop, size_t i, struct loop_timer *timer)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= loop->heap_len)
            break;
        if (child + 1 < loop->heap_len && loop->heap[child + 1]->due < loop->heap[child]->due)
            child++;
        if (loop->heap[child]->due >= timer->due)
            break;
        heap_put(loop, i, loop->heap[child]);
        i = child;
    }
    heap_put(loop, i, timer);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *arg)
{
    struct loop_timer *timer = mem_alloc(sizeof *timer);
    *timer = (struct loop_timer){.loop = loop, .fn = fn, .arg = arg, .index = SIZE_MAX};
    return timer;
}

bool loop_timer_active(const struct loop_timer *timer)
{
    return timer->index != SIZE_MAX;
}

void loop_timer_stop(struct loop_timer *timer)
{
    if (!loop_timer_active(timer))
        return;
    struct loop *loop = timer->loop;
    size_t i = timer->index;
    timer->index = SIZE_MAX;
    struct loop_timer *last = loop->heap[--loop->heap_len];
    if (last == timer)
        return;
    if (i > 0 && loop->heap[(i - 1) / 2]->due > last->due)
        heap_up(loop, i, last);
    else
        heap_down(loop, i, last);
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms)
{
    struct loop *loop = timer->loop;
    loop_timer_stop(timer);
    if (loop->heap_len == loop->heap_cap) {
        loop->heap_cap = loop->heap_cap ? 2 * loop->heap_cap : 64;
        loop->heap = mem_resize(loop->heap, loop->heap_cap * sizeof *loop->heap);
    }
    /* The real clock, not loop->now: a long callback must not shorten the delay. */
    timer->due = clock_ms() + (delay_ms > 0 ? delay_ms : 0);
    heap_up(loop, loop->heap_len++, timer);
}

void loop_timer_destroy(struct loop_timer **timer_p)
{
    if (!*timer_p)
        return;
    loop_timer_stop(*timer_p);
    free(*timer_p);
    *timer_p = NULL;
}

static void fire_timers(struct loop *loop)
{
    int64_t now = loop->now;
    while (loop->heap_len && loop->heap[0]->due <= now) {
        struct loop_timer *timer = loop->heap[0];
        loop_timer_stop(timer);
        timer->fn(timer->arg);
    }
}

/* ---- deferred calls, sources, signals ---------------------------------------------------- */

void loop_defer(struct loop *loop, loop_timer_fn *fn, void *arg)
{
    if (loop->deferred_len == loop->deferred_cap) {
        loop->deferred_cap = loop->deferred_cap ? 2 * loop->deferred_cap : 16;
        loop->deferred = mem_resize(loop->deferred, loop->deferred_cap * sizeof *loop->deferred);
    }
    loop->deferred[loop->deferred_len++] = (struct deferred){fn, arg};
}

void loop_defer_cancel(struct loop *loop, loop_timer_fn *fn, void *arg)
{
    for (size_t i = 0; i < loop->deferred_len; i++)
        if (loop->deferred[i].fn == fn && loop->deferred[i].arg == arg)
            loop->deferred[i].fn = NULL;
}

/* Runs those that are there now; what they add is for the next pass. */
static bool run_deferred(struct loop *loop)
{
    size_t count = loop->deferred_len;
    if (count == 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct deferred call = loop->deferred[i];
        if (call.fn)
            call.fn(call.arg);
    }
    loop->deferred_len -= count;
    memmove(loop->deferred, loop->deferred + count, loop->deferred_len * sizeof *loop->deferred);
    return true;
}

void loop_source_add(struct loop *loop, loop_source_fn *turn, void *arg)
{
    assert(loop->source_count < SOURCES_MAX);
    loop->sources[loop->source_count++] = (struct source){turn, arg};
}

void loop_source_remove(struct loop *loop, loop_source_fn *turn, void *arg)
{
    for (size_t i = 0; i < loop->source_count; i++) {
        if (loop->sources[i].turn == turn && loop->sources[i].arg == arg) {
            memmove(&loop->sources[i], &loop->sources[i + 1],
                    (loop->source_count - i - 1) * sizeof *loop->sources);
            loop->source_count--;
            return;
        }
    }
}

/* True when everything is quiet: only then may the loop sleep. */
static bool settle(struct loop *loop)
{
    for (int pass = 0; pass < PASSES_MAX && !loop->stopped; pass++) {
        bool busy = run_deferred(loop);
        for (size_t i = 0; i < loop->source_count; i++)
            busy |= loop->sources[i].turn(loop->sources[i].arg);
        if (!busy)
            return loop->deferred_len == 0;
    }
    return false;
}

static void on_signal_fd(void *arg, uint32_t events)
{
    (void)events;
    struct loop *loop = arg;
    struct signalfd_siginfo info;
    while (read(loop->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        loop->on_signal(loop->signal_arg, (int)info.ssi_signo);
}

void loop_signals(struct loop *loop, const int *signos, loop_signal_fn *fn, void *arg)
{
    assert(loop->signal_fd < 0);
    sigset_t set;
    sigemptyset(&set);
    for (; *signos; signos++)
        sigaddset(&set, *signos);
    sigprocmask(SIG_BLOCK, &set, NULL);
    loop->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    assert(loop->signal_fd >= 0);
    loop->on_signal = fn;
    loop->signal_arg = arg;
    loop_fd_add(loop, loop->signal_fd, EPOLLIN, on_signal_fd, loop);
}

/* ---- running ------------------------------------------------------------------------------ */

static int sleep_ms(const struct loop *loop, bool quiet, int64_t limit)
{
    if (!quiet || loop->stopped)
        return 0;
    int64_t wait = limit;
    if (loop->heap_len) {
        int64_t until = loop->heap[0]->due - clock_ms();
        if (until < 0)
            until = 0;
        if (wait < 0 || until < wait)
            wait = until;
    }
    return wait > INT_MAX ? INT_MAX : (int)wait;
}

static void sleep_once(struct loop *loop, bool quiet, int64_t limit)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, sleep_ms(loop, quiet, limit));
    loop->now = clock_ms();
    for (int i = 0; i < count; i++) {
        int fd = (int)(uint32_t)events[i].data.u64;
        uint32_t generation = (uint32_t)(events[i].data.u64 >> 32);
        struct watch watch = loop->watches[fd];
        if (watch.generation == generation)
            watch.fn(watch.arg, events[i].events);
    }
    fire_timers(loop);
}

static void wait_once(struct loop *loop, int64_t limit)
{
    bool quiet = settle(loop);
    sleep_once(loop, quiet, limit);
}

void loop_run(struct loop *loop)
{
    loop->stopped = false;
    while (!loop->stopped)
        wait_once(loop, -1);
}

bool loop_run_until(struct loop *loop, bool (*done)(void *arg), void *arg, int64_t timeout_ms)
{
    int64_t end = clock_ms() + timeout_ms;
    loop->stopped = false;
    while (!done(arg)) {
        int64_t left = end - clock_ms();
        if (left <= 0 || loop->stopped)
            return done(arg);
        wait_once(loop, left < 10 ? left : 10);
    }
    return true;
}

bool loop_run_through(struct loop *loop, bool (*done)(void *arg), void *arg, int64_t timeout_ms)
{
    int64_t end = clock_ms() + timeout_ms, left = timeout_ms;
    while (left > 0 && !loop_run_until(loop, done, arg, left))
        left = end - clock_ms();
    return left > 0;
}

bool loop_wait_until(struct loop *loop, bool (*done)(void *arg), void *arg, int64_t timeout_ms)
{
    int64_t end = timeout_ms < 0 ? 0 : clock_ms() + timeout_ms;
    loop->stopped = false;
    while (!done(arg)) {
        int64_t left = timeout_ms < 0 ? -1 : end - clock_ms();
        if (loop->stopped || (timeout_ms >= 0 && left <= 0))
            return false;
        bool quiet = settle(loop);
        if (done(arg))
            return true;
        sleep_once(loop, quiet, left);
    }
    return true;
}
