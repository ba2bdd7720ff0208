/* libcommon/loop.h on the virtual clock. */
#include "libcommon/loop.h"

#include <assert.h>
#include <string.h>

#include "libcommon/mem.h"
#include "tests/sim/sim.h"

enum { SOURCES_MAX = 32, PASSES_MAX = 1000, DEFERRED_MAX = 4096 };

struct call {
    void (*fn)(void *arg);
    void *arg;
};

struct source {
    loop_source_fn *turn;
    void *arg;
};

struct loop {
    struct instance *instance;
    struct call deferred[DEFERRED_MAX];
    size_t deferred_count;
    struct source sources[SOURCES_MAX];
    size_t source_count;
    struct loop_timer *timers; /* active or not: a loop that goes leaves them inactive */
    bool stopped;
};

/* Outlives its timer, for the events that still name it. */
struct handle {
    struct loop_timer *timer;
};

struct loop_timer {
    struct loop *loop;
    loop_timer_fn *fn;
    void *arg;
    struct handle *handle;
    uint64_t generation;
    bool active;
};

struct firing {
    struct handle *handle;
    uint64_t generation;
};

struct loop *loop_new(void)
{
    struct loop *loop = mem_alloc(sizeof *loop);
    loop->instance = sim.current;
    return loop;
}

void loop_destroy(struct loop **loop_p)
{
    free(*loop_p);
    *loop_p = NULL;
}

void loop_run(struct loop *loop)
{
    (void)loop;
    assert(!"the world runs the loops");
}

bool loop_run_until(struct loop *loop, bool (*done)(void *arg), void *arg, int64_t timeout_ms)
{
    (void)loop;
    (void)timeout_ms;
    return done(arg);
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

int64_t sim_clock_ms(const struct instance *instance)
{
    return sim.now / SIM_MS + (instance ? instance->clock_offset_ms : 0);
}

int64_t loop_now(const struct loop *loop)
{
    return sim_clock_ms(loop->instance);
}

void loop_fd_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *arg)
{
    (void)loop;
    (void)fd;
    (void)events;
    (void)fn;
    (void)arg;
    assert(!"there are no descriptors here");
}

void loop_fd_change(struct loop *loop, int fd, uint32_t events)
{
    (void)loop;
    (void)fd;
    (void)events;
}

void loop_fd_remove(struct loop *loop, int fd)
{
    (void)loop;
    (void)fd;
}

void loop_signals(struct loop *loop, const int *signos, loop_signal_fn *fn, void *arg)
{
    (void)loop;
    (void)signos;
    (void)fn;
    (void)arg;
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *arg)
{
    struct loop_timer *timer = mem_alloc(sizeof *timer);
    timer->loop = loop;
    timer->fn = fn;
    timer->arg = arg;
    timer->handle = sim_new(sizeof *timer->handle);
    timer->handle->timer = timer;
    return timer;
}

void loop_timer_destroy(struct loop_timer **timer_p)
{
    if (!*timer_p)
        return;
    (*timer_p)->handle->timer = NULL;
    free(*timer_p);
    *timer_p = NULL;
}

static void fire(void *arg)
{
    struct firing *firing = arg;
    struct loop_timer *timer = firing->handle->timer;
    if (timer && timer->active && timer->generation == firing->generation) {
        timer->active = false;
        timer->fn(timer->arg);
    }
    free(firing);
}

/* A timer is due when the clock shows so, and is looked at a little later than that. */
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms)
{
    struct firing *firing = sim_new(sizeof *firing);
    timer->active = true;
    *firing = (struct firing){timer->handle, ++timer->generation};
    int64_t due = (sim.now / SIM_MS + (delay_ms > 0 ? delay_ms : 0)) * SIM_MS;
    int64_t late = sim_chance(20000) ? sim_range(0, 20 * SIM_MS) : sim_range(0, SIM_MS);
    sim_at(timer->loop->instance, due - sim.now + late, fire, firing);
}

void loop_timer_stop(struct loop_timer *timer)
{
    timer->active = false;
    timer->generation++;
}

bool loop_timer_active(const struct loop_timer *timer)
{
    return timer->active;
}

void loop_defer(struct loop *loop, loop_timer_fn *fn, void *arg)
{
    assert(loop->deferred_count < DEFERRED_MAX);
    loop->deferred[loop->deferred_count++] = (struct call){fn, arg};
}

void loop_source_add(struct loop *loop, loop_source_fn *turn, void *arg)
{
    assert(loop->source_count < SOURCES_MAX);
    loop->sources[loop->source_count++] = (struct source){turn, arg};
}

void loop_source_remove(struct loop *loop, loop_source_fn *turn, void *arg)
{
    for (size_t i = 0; i < loop->source_count; i++) {
        if (loop->sources[i].turn != turn || loop->sources[i].arg != arg)
            continue;
        loop->source_count--;
        memmove(&loop->sources[i], &loop->sources[i + 1],
                (loop->source_count - i) * sizeof *loop->sources);
        return;
    }
}

static bool run_deferred(struct loop *loop)
{
    size_t count = loop->deferred_count;
    for (size_t i = 0; i < count; i++) {
        struct call call = loop->deferred[i];
        call.fn(call.arg);
    }
    loop->deferred_count -= count;
    memmove(loop->deferred, loop->deferred + count, loop->deferred_count * sizeof *loop->deferred);
    return count > 0;
}

void sim_settle(struct instance *instance)
{
    struct loop *loop = instance->service.loop;
    bool busy = loop != NULL;
    for (int pass = 0; busy; pass++) {
        if (pass == PASSES_MAX) {
            sim_fail("%s: the loop never comes to rest", instance->name);
            return;
        }
        busy = run_deferred(loop);
        for (size_t i = 0; i < loop->source_count; i++)
            busy |= loop->sources[i].turn(loop->sources[i].arg);
    }
}
