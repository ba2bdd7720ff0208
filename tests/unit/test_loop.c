#include "tests/unit/unit.h"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "libcommon/loop.h"

struct probe {
    struct loop *loop;
    struct loop_timer *timers[3];
    int order[8], count, fd_calls, turns, signo;
    int pipe[2];
};

static void note(struct probe *p, int what)
{
    if (p->count < 8)
        p->order[p->count++] = what;
}

static void on_first(void *arg)
{
    struct probe *p = arg;
    note(p, 1);
    loop_timer_stop(p->timers[2]); /* was due in the same pass */
}

static void on_second(void *arg)
{
    note(arg, 2);
}

static bool has_two(void *arg)
{
    return ((struct probe *)arg)->count >= 2;
}

static void test_timers_in_order(void **state)
{
    (void)state;
    struct probe p = {.loop = loop_new()};
    p.timers[0] = loop_timer_new(p.loop, on_second, &p);
    p.timers[1] = loop_timer_new(p.loop, on_first, &p);
    p.timers[2] = loop_timer_new(p.loop, on_second, &p);
    loop_timer_start(p.timers[0], 30);
    loop_timer_start(p.timers[2], 10);
    loop_timer_start(p.timers[1], 5);
    usleep(40000);
    assert_true(loop_run_until(p.loop, has_two, &p, 5000));
    assert_int_equal(p.count, 2);
    assert_int_equal(p.order[0], 1);
    assert_int_equal(p.order[1], 2);
    assert_false(loop_timer_active(p.timers[2]));
    for (int i = 0; i < 3; i++)
        loop_timer_destroy(&p.timers[i]);
    loop_destroy(&p.loop);
}

static void on_pipe(void *arg, uint32_t events)
{
    struct probe *p = arg;
    char c;
    assert_true(events & EPOLLIN);
    assert_int_equal(read(p->pipe[0], &c, 1), 1);
    if (++p->fd_calls == 3)
        loop_stop(p->loop);
}

static void test_descriptors(void **state)
{
    (void)state;
    struct probe p = {.loop = loop_new()};
    assert_int_equal(pipe(p.pipe), 0);
    loop_fd_add(p.loop, p.pipe[0], EPOLLIN, on_pipe, &p);
    assert_int_equal(write(p.pipe[1], "abc", 3), 3);
    loop_run(p.loop);
    assert_int_equal(p.fd_calls, 3);
    loop_fd_remove(p.loop, p.pipe[0]);
    loop_fd_remove(p.loop, p.pipe[0]);
    close(p.pipe[0]);
    close(p.pipe[1]);
    loop_destroy(&p.loop);
}

/* A source with work is asked again before the loop sleeps. */
static bool take_turn(void *arg)
{
    struct probe *p = arg;
    return ++p->turns < 10;
}

static bool has_ten_turns(void *arg)
{
    return ((struct probe *)arg)->turns >= 10;
}

static void test_sources(void **state)
{
    (void)state;
    struct probe p = {.loop = loop_new()};
    loop_source_add(p.loop, take_turn, &p);
    assert_true(loop_run_until(p.loop, has_ten_turns, &p, 5000));
    loop_source_remove(p.loop, take_turn, &p);
    loop_destroy(&p.loop);
}

static void on_deferred(void *arg)
{
    struct probe *p = arg;
    note(p, p->count);
    if (p->count == 1)
        loop_defer(p->loop, on_deferred, p);
}

static void test_deferred_calls(void **state)
{
    (void)state;
    struct probe p = {.loop = loop_new()};
    loop_defer(p.loop, on_deferred, &p);
    assert_int_equal(p.count, 0);
    assert_true(loop_run_until(p.loop, has_two, &p, 5000));
    loop_destroy(&p.loop);
}

static void note_and_defer(void *arg)
{
    struct probe *p = arg;
    on_second(p);
    if (p->count < 2)
        loop_defer(p->loop, note_and_defer, p);
}

static void test_waiting_for_own_callbacks(void **state)
{
    (void)state;
    struct probe p = {.loop = loop_new()};
    loop_defer(p.loop, note_and_defer, &p);
    assert_true(loop_wait_until(p.loop, has_two, &p, -1));
    p.count = 0;
    p.timers[0] = loop_timer_new(p.loop, note_and_defer, &p);
    loop_timer_start(p.timers[0], 30);
    assert_true(loop_wait_until(p.loop, has_two, &p, 60000));
    p.count = 0;
    assert_false(loop_wait_until(p.loop, has_two, &p, 20));
    loop_timer_destroy(&p.timers[0]);
    loop_destroy(&p.loop);
}

static void on_signal(void *arg, int signo)
{
    struct probe *p = arg;
    p->signo = signo;
    loop_stop(p->loop);
}

static void test_signals(void **state)
{
    (void)state;
    static const int signals[] = {SIGUSR1, 0};
    struct probe p = {.loop = loop_new()};
    loop_signals(p.loop, signals, on_signal, &p);
    raise(SIGUSR1);
    loop_run(p.loop);
    assert_int_equal(p.signo, SIGUSR1);
    loop_destroy(&p.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_in_order), cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_sources),         cmocka_unit_test(test_deferred_calls),
        cmocka_unit_test(test_signals),         cmocka_unit_test(test_waiting_for_own_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
