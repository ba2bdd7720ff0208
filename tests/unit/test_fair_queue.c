#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "services/jobs/fair_queue.h"
#include "services/jobs/slots.h"

static void expect_pop(struct fair_queue *queue, const char *job_id, const char *user_id)
{
    char *job = NULL, *user = NULL;
    assert_true(fair_queue_pop(queue, &job, &user));
    assert_string_equal(job, job_id);
    assert_string_equal(user, user_id);
    free(job);
    free(user);
}

static void users_take_turns(void **state)
{
    (void)state;
    struct fair_queue *queue = fair_queue_new(5000);
    for (int i = 0; i < 1000; i++) {
        char id[16];
        snprintf(id, sizeof id, "a%d", i);
        assert_int_equal(fair_queue_push(queue, id, "alice"), FAIR_QUEUE_PUSHED);
    }
    expect_pop(queue, "a0", "alice");
    assert_int_equal(fair_queue_push(queue, "b0", "bob"), FAIR_QUEUE_PUSHED);
    assert_int_equal(fair_queue_push(queue, "c0", "carol"), FAIR_QUEUE_PUSHED);
    assert_int_equal(fair_queue_push(queue, "b1", "bob"), FAIR_QUEUE_PUSHED);
    expect_pop(queue, "a1", "alice");
    expect_pop(queue, "b0", "bob");
    expect_pop(queue, "c0", "carol");
    expect_pop(queue, "a2", "alice");
    expect_pop(queue, "b1", "bob");
    expect_pop(queue, "a3", "alice");
    expect_pop(queue, "a4", "alice");
    assert_int_equal(fair_queue_count(queue), 995);
    fair_queue_destroy(&queue);
    fair_queue_destroy(&queue);
}

static void ids_are_once_and_bounded(void **state)
{
    (void)state;
    struct fair_queue *queue = fair_queue_new(2);
    assert_int_equal(fair_queue_push(queue, "1", "u"), FAIR_QUEUE_PUSHED);
    assert_int_equal(fair_queue_push(queue, "1", "u"), FAIR_QUEUE_KNOWN);
    assert_int_equal(fair_queue_push(queue, "2", "v"), FAIR_QUEUE_PUSHED);
    assert_int_equal(fair_queue_push(queue, "3", "u"), FAIR_QUEUE_FULL);
    assert_int_equal(fair_queue_user_count(queue, "u"), 1);
    fair_queue_hold(queue, "u", 2);
    assert_int_equal(fair_queue_user_count(queue, "u"), 3);
    expect_pop(queue, "1", "u");
    assert_int_equal(fair_queue_user_count(queue, "u"), 2);
    fair_queue_hold(queue, "u", -2);
    assert_int_equal(fair_queue_user_count(queue, "u"), 0);
    assert_int_equal(fair_queue_push(queue, "1", "u"), FAIR_QUEUE_PUSHED);
    expect_pop(queue, "2", "v");
    expect_pop(queue, "1", "u");
    char *job, *user;
    assert_false(fair_queue_pop(queue, &job, &user));
    fair_queue_destroy(&queue);
}

/* Random pushes and pops against a count: nothing is lost, doubled or out of its user's order. */
static void many_users_lose_nothing(void **state)
{
    (void)state;
    enum { USERS = 50, STEPS = 50000 };
    struct fair_queue *queue = fair_queue_new(STEPS);
    static int pushed[USERS], popped[USERS];
    unsigned seed = 7;
    for (int i = 0; i < STEPS; i++) {
        int user = rand_r(&seed) % USERS;
        char job_id[32], user_id[16];
        if (rand_r(&seed) % 5 < 3) {
            snprintf(user_id, sizeof user_id, "u%d", user);
            snprintf(job_id, sizeof job_id, "%d.%d", user, pushed[user]++);
            assert_int_equal(fair_queue_push(queue, job_id, user_id), FAIR_QUEUE_PUSHED);
            continue;
        }
        char *job, *owner;
        if (!fair_queue_pop(queue, &job, &owner))
            continue;
        int number;
        assert_int_equal(sscanf(job, "%d.%d", &user, &number), 2);
        assert_int_equal(number, popped[user]++);
        assert_int_equal(atoi(owner + 1), user);
        free(job);
        free(owner);
    }
    size_t left = 0;
    for (int user = 0; user < USERS; user++)
        left += (size_t)(pushed[user] - popped[user]);
    assert_int_equal(fair_queue_count(queue), left);
    fair_queue_destroy(&queue);
}

static void slots_count_what_is_free(void **state)
{
    (void)state;
    struct slots *slots = slots_new();
    assert_null(slots_reserve(slots));
    assert_true(slots_offer(slots, "s1", "i1", 0, 2, 1000));
    assert_true(slots_offer(slots, "s2", "i2", 0, 1, 1000));
    assert_int_equal(slots_free(slots), 3);
    struct slot *first = slots_reserve(slots);
    assert_string_equal(first->session, "s1");
    assert_int_equal(slots_sent(first, 1000), 1);
    struct slot *second = slots_reserve(slots);
    assert_non_null(second);
    slots_unreserve(second);
    assert_int_equal(slots_free(slots), 2);
    /* The offer that crossed the run on its way tells the same. */
    assert_true(slots_offer(slots, "s1", "i1", 0, 2, 1100));
    assert_int_equal(slots_free(slots), 2);
    assert_true(slots_offer(slots, "s1", "i1", 1, 1, 1200));
    assert_int_equal(slots_free(slots), 2);
    slots_keep(slots, (char[][17]){"i1", "i3"}, 2);
    assert_null(slots_find(slots, "s2"));
    slots_forget(slots, "s2");
    assert_int_equal(slots_free(slots), 1);
    slots_expire(slots, 1200 + SLOTS_FORGET_MS + 1);
    assert_null(slots_find(slots, "s1"));
    slots_destroy(&slots);
}

static void lost_runs_free_their_slots(void **state)
{
    (void)state;
    struct slots *slots = slots_new();
    assert_true(slots_offer(slots, "s", "i", 0, 1, 0));
    assert_int_equal(slots_sent(slots_reserve(slots), 100), 1);
    assert_int_equal(slots_free(slots), 0);
    for (int64_t now = 1000; now <= 2000; now += 1000) {
        assert_true(slots_offer(slots, "s", "i", 0, 1, now));
        assert_int_equal(slots_free(slots), 0);
    }
    assert_true(slots_offer(slots, "s", "i", 0, 1, 3000));
    assert_int_equal(slots_free(slots), 1);
    slots_destroy(&slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_take_turns),           cmocka_unit_test(ids_are_once_and_bounded),
        cmocka_unit_test(many_users_lose_nothing),    cmocka_unit_test(slots_count_what_is_free),
        cmocka_unit_test(lost_runs_free_their_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
