/* Time, chance and the queue of events. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

struct sim sim;

struct sim_event {
    int64_t at;
    uint64_t tie, number; /* of those at one time the order is by chance */
    struct instance *to;
    sim_fn *fn;
    void *arg;
    struct sim_event *next;
};

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* xoshiro256** of Blackman and Vigna. */
uint64_t sim_random(void)
{
    uint64_t *s = sim.random, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

int64_t sim_range(int64_t from, int64_t to)
{
    return from + (int64_t)(sim_random() % (uint64_t)(to - from + 1));
}

bool sim_chance(unsigned of_a_million)
{
    return of_a_million && sim_random() % 1000000 < of_a_million;
}

static void mix(uint64_t value)
{
    sim.hash = (rotate(sim.hash, 5) ^ value) * 0x9e3779b97f4a7c15u;
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    if (a->at != b->at)
        return a->at < b->at;
    return a->tie != b->tie ? a->tie < b->tie : a->number < b->number;
}

static void push(struct sim_event *event)
{
    if (sim.heap_len == sim.heap_cap) {
        size_t cap = sim.heap_cap ? sim.heap_cap * 2 : 1024;
        struct sim_event **heap = sim_new(cap * sizeof *heap);
        if (sim.heap_len)
            memcpy(heap, sim.heap, sim.heap_len * sizeof *heap);
        free(sim.heap);
        sim.heap = heap;
        sim.heap_cap = cap;
    }
    size_t i = sim.heap_len++;
    for (; i > 0 && is_before(event, sim.heap[(i - 1) / 2]); i = (i - 1) / 2)
        sim.heap[i] = sim.heap[(i - 1) / 2];
    sim.heap[i] = event;
}

static struct sim_event *pop(void)
{
    struct sim_event *first = sim.heap[0], *last = sim.heap[--sim.heap_len];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= sim.heap_len)
            break;
        if (child + 1 < sim.heap_len && is_before(sim.heap[child + 1], sim.heap[child]))
            child++;
        if (!is_before(sim.heap[child], last))
            break;
        sim.heap[i] = sim.heap[child];
        i = child;
    }
    sim.heap[i] = last;
    return first;
}

void sim_at(struct instance *to, int64_t delay, sim_fn *fn, void *arg)
{
    struct sim_event *event = sim_new(sizeof *event);
    *event = (struct sim_event){.at = sim.now + (delay > 0 ? delay : 0),
                                .tie = sim_random(),
                                .number = sim.next_event++,
                                .to = to,
                                .fn = fn,
                                .arg = arg};
    push(event);
}

void sim_trace(const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    if (!sim.tracing)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    printf("%11.6f %-10s %s\n", (double)sim.now / SIM_SECOND, sim.current ? sim.current->name : "-",
           text);
}

void sim_fail(const char *fmt, ...)
{
    va_list ap;
    if (sim.failed)
        return;
    va_start(ap, fmt);
    vsnprintf(sim.why, sizeof sim.why, fmt, ap);
    va_end(ap);
    sim.failed = true;
    sim_trace("FAILED: %s", sim.why);
}

static void handle(struct sim_event *event)
{
    struct instance *to = event->to;
    if (!to) {
        event->fn(event->arg);
        return;
    }
    if (!to->alive)
        return;
    to->dying = to->crash_at && ++to->steps >= to->crash_at;
    sim.current = to;
    event->fn(event->arg);
    if (to->alive)
        sim_settle(to);
    sim.current = NULL;
    if (to->dying && to->alive)
        sim_crash(to);
}

bool sim_step(void)
{
    if (!sim.heap_len || sim.failed)
        return false;
    struct sim_event *event = pop();
    sim.now = event->at;
    if (event->to && event->to->alive && event->to->frozen) {
        *event->to->held_tail = event;
        event->to->held_tail = &event->next;
        return true;
    }
    mix((uint64_t)event->at ^ (event->to ? event->to->index + 1 : 0));
    if (sim.steps++ >= sim.steps_max)
        sim_fail("more than %llu steps", (unsigned long long)sim.steps_max);
    handle(event);
    free(event);
    return true;
}

static void do_nothing(void *arg)
{
    (void)arg;
}

void sim_run(int64_t until)
{
    sim_at(NULL, until - sim.now, do_nothing, NULL);
    while (sim.now < until && sim_step())
        ;
}

void sim_wake(struct instance *instance)
{
    if (!instance->alive || !instance->frozen)
        return;
    instance->frozen = false;
    sim_trace("%s wakes", instance->name);
    for (struct sim_event *event = instance->held, *next; event; event = next) {
        next = event->next;
        event->next = NULL;
        event->at = sim.now;
        push(event);
    }
    instance->held = NULL;
    instance->held_tail = &instance->held;
}

static void wake(void *arg)
{
    sim_wake(arg);
}

void sim_freeze(struct instance *instance, int64_t for_us)
{
    if (!instance->alive || instance->frozen)
        return;
    sim_trace("%s freezes for %lld ms", instance->name, (long long)for_us / SIM_MS);
    instance->frozen = true;
    sim_at(NULL, for_us, wake, instance);
}

void sim_begin(uint64_t seed)
{
    uint64_t state = seed * 0x2545f4914f6cdd1du + 1;
    sim.seed = seed;
    for (int i = 0; i < 4; i++)
        sim.random[i] = splitmix(&state);
    sim.hash = 0;
    sim.now = SIM_SECOND;
    sim.memory.next = sim.memory.prev = &sim.memory;
    sim.heap = NULL;
    sim.heap_len = sim.heap_cap = 0;
    sim.next_event = sim.steps = 0;
    sim.failed = false;
    sim.instance_count = 0;
    sim.current = NULL;
}

void sim_end(void)
{
    for (size_t i = 0; i < sim.instance_count; i++)
        sim_memory_release(&sim.instances[i]->memory);
    sim_memory_release(&sim.memory);
}
