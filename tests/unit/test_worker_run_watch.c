#include "tests/unit/unit.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "services/worker/proc.h"
#include "services/worker/run_watch.h"

enum { MIB = 1 << 20 };

struct heard {
    unsigned count;
    char why[160];
};

static void on_exceeded(void *arg, const char *why)
{
    struct heard *heard = arg;
    heard->count++;
    snprintf(heard->why, sizeof heard->why, "%s", why);
}

static bool is_heard(void *arg)
{
    return ((struct heard *)arg)->count > 0;
}

/* A child that starts `more` in its turn and stays; it holds `bytes` of memory. */
static pid_t start(int more, size_t bytes)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < more; i++)
            if (fork() == 0)
                for (;;)
                    pause();
        if (bytes) {
            char *memory =
                mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            memset(memory, 1, bytes);
        }
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void count(void *arg, pid_t pid, int64_t resident)
{
    (void)pid, (void)resident;
    ++*(size_t *)arg;
}

static size_t descendants(void)
{
    size_t n = 0;
    proc_each_descendant(count, &n);
    return n;
}

static struct run_watch *watch(struct loop *loop, int64_t processes, int64_t memory,
                               struct heard *heard)
{
    struct run_watch_options options = {loop, processes, memory, on_exceeded, heard};
    struct run_watch *one = run_watch_new(&options);
    run_watch_arm(one);
    return one;
}

static void too_many_processes_are_killed(void **state)
{
    struct heard heard = {0};
    struct loop *loop = loop_new();
    (void)state;
    pid_t pid = start(5, 0);
    assert_int_equal(descendants(), 6);
    struct run_watch *one = watch(loop, 5, INT64_MAX, &heard);
    assert_true(loop_run_until(loop, is_heard, &heard, 20000));
    assert_non_null(strstr(heard.why, "5 processes"));
    waitpid(pid, NULL, 0);
    assert_int_equal(descendants(), 0);
    run_watch_destroy(&one);
    loop_destroy(&loop);
}

static void too_much_memory_is_killed(void **state)
{
    struct heard heard = {0};
    struct loop *loop = loop_new();
    (void)state;
    pid_t pid = start(0, 64 * MIB);
    struct run_watch *one = watch(loop, 5, 48 * MIB, &heard);
    assert_true(loop_run_until(loop, is_heard, &heard, 20000));
    assert_non_null(strstr(heard.why, "48 MiB"));
    waitpid(pid, NULL, 0);
    run_watch_destroy(&one);
    loop_destroy(&loop);
}

static void what_is_allowed_lives(void **state)
{
    struct heard heard = {0};
    struct loop *loop = loop_new();
    int status;
    (void)state;
    pid_t pid = start(2, 8 * MIB);
    struct run_watch *one = watch(loop, 3, 512 * (int64_t)MIB, &heard);
    assert_false(loop_run_until(loop, is_heard, &heard, 1000));
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    run_watch_destroy(&one);
    loop_destroy(&loop);
    struct run_watch *last = watch(loop = loop_new(), 0, INT64_MAX, &heard);
    assert_true(loop_run_until(loop, is_heard, &heard, 20000));
    waitpid(pid, NULL, 0);
    run_watch_destroy(&last);
    loop_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_many_processes_are_killed),
        cmocka_unit_test(too_much_memory_is_killed),
        cmocka_unit_test(what_is_allowed_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
