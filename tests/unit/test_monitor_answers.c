/* Questions of many viewers: asked once, answered to all, never older than they may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/monitor/answers.h"

enum { VIEWERS = 10, PENDING_MAX = 1024 };

static struct {
    int64_t now;
    struct {
        uint64_t id;
        bus_answer_fn *done;
        void *arg;
    } pending[PENDING_MAX];
    size_t asked, given_up;
} bus;

static int64_t now(void *arg)
{
    (void)arg;
    return bus.now;
}

static uint64_t ask(void *arg, const char *method, json_t *args, int64_t timeout_ms,
                    bus_answer_fn *done, void *done_arg)
{
    (void)arg;
    (void)method;
    (void)timeout_ms;
    json_decref(args);
    bus.pending[bus.asked].id = bus.asked + 1;
    bus.pending[bus.asked].done = done;
    bus.pending[bus.asked].arg = done_arg;
    return ++bus.asked;
}

static void give_up(void *arg, uint64_t id)
{
    (void)arg;
    assert_non_null(bus.pending[id - 1].done);
    bus.pending[id - 1].done = NULL;
    bus.given_up++;
}

/* The answer to the `n`-th question. */
static void reply(size_t n, int value)
{
    AUTOJSON json_t *result = json_pack("{s:i}", "value", value);
    struct bus_answer answer = {.result = result, .last = true};
    bus_answer_fn *done = bus.pending[n].done;
    bus.pending[n].done = NULL;
    done(bus.pending[n].arg, &answer);
}

static void refuse_with(size_t n, enum err error, const char *detail)
{
    struct bus_answer answer = {.error = error, .detail = detail, .last = true};
    bus_answer_fn *done = bus.pending[n].done;
    bus.pending[n].done = NULL;
    done(bus.pending[n].arg, &answer);
}

static void refuse(size_t n, enum err error)
{
    refuse_with(n, error, "why");
}

struct viewer {
    struct asked asked;
    int value; /* −1: nothing yet, −2: an error */
    enum err error;
    char detail[TOLD_DETAIL_SIZE];
};

static void see(struct viewer *viewer, const struct told *told)
{
    viewer->value = told->error ? -2 : (int)js_int(told->result, "value", -3);
    viewer->error = told->error;
    snprintf(viewer->detail, sizeof viewer->detail, "%s", told->detail);
}

static void on_told(void *arg, const struct told *told)
{
    see(arg, told);
}

static struct question question(const char *method)
{
    return (struct question){.method = method,
                             .args = json_object(),
                             .timeout_ms = 1000,
                             .fresh_ms = 1000,
                             .patience_ms = 400,
                             .keep_ms = 10000};
}

static void look(struct answers *answers, struct viewer *viewer, const char *method)
{
    struct told told;
    *viewer = (struct viewer){.asked = {.fn = on_told, .arg = viewer}, .value = -1};
    if (!answers_ask(answers, &viewer->asked, question(method), &told))
        return;
    see(viewer, &told);
    told_fini(&told);
}

static int set_up(void **state)
{
    struct answers_options options = {.now = now, .ask = ask, .give_up = give_up};
    memset(&bus, 0, sizeof bus);
    *state = answers_new(&options);
    return 0;
}

static int tear_down(void **state)
{
    struct answers *answers = *state;
    answers_destroy(&answers);
    return 0;
}

static void test_ten_viewers_cost_one_question(void **state)
{
    struct viewer viewers[VIEWERS];
    for (int i = 0; i < VIEWERS; i++)
        look(*state, &viewers[i], "jobs.health");
    assert_int_equal(bus.asked, 1);
    reply(0, 7);
    for (int i = 0; i < VIEWERS; i++)
        assert_int_equal(viewers[i].value, 7);
    bus.now += 999;
    look(*state, &viewers[0], "jobs.health");
    assert_int_equal(viewers[0].value, 7);
    assert_int_equal(bus.asked, 1);
    bus.now += 1;
    look(*state, &viewers[0], "jobs.health");
    assert_int_equal(bus.asked, 2);
    answers_drop(&viewers[0].asked);
}

static void test_other_questions_are_others(void **state)
{
    struct viewer one, two, three;
    struct told told;
    look(*state, &one, "jobs.health");
    look(*state, &two, "jobs.workers");
    three = (struct viewer){.asked = {.fn = on_told, .arg = &three}};
    struct question other = question("jobs.health");
    json_object_set_new(other.args, "x", json_integer(1));
    assert_false(answers_ask(*state, &three.asked, other, &told));
    assert_int_equal(bus.asked, 3);
    reply(2, 3);
    reply(1, 2);
    reply(0, 1);
    assert_int_equal(one.value, 1);
    assert_int_equal(two.value, 2);
    assert_int_equal(three.value, 3);
}

static void test_who_leaves_is_not_told(void **state)
{
    struct viewer one, two, three;
    look(*state, &one, "a.b");
    look(*state, &two, "a.b");
    look(*state, &three, "a.b");
    answers_drop(&two.asked);
    answers_drop(&two.asked);
    reply(0, 5);
    assert_int_equal(one.value, 5);
    assert_int_equal(two.value, -1);
    assert_int_equal(three.value, 5);
}

struct leaver {
    struct viewer viewer;
    struct answers *answers;
    struct viewer *other;
};

static void leave_together(void *arg, const struct told *told)
{
    struct leaver *leaver = arg;
    see(&leaver->viewer, told);
    answers_drop(&leaver->other->asked);
    answers_sweep(leaver->answers);
    answers_expire(leaver->answers);
    look(leaver->answers, &leaver->viewer, "a.b");
}

static void test_who_is_told_may_drop_others_and_ask_again(void **state)
{
    struct viewer other;
    struct leaver leaver = {.answers = *state, .other = &other};
    struct told told;
    look(*state, &other, "a.b");
    leaver.viewer.asked = (struct asked){.fn = leave_together, .arg = &leaver};
    assert_false(answers_ask(*state, &leaver.viewer.asked, question("a.b"), &told));
    reply(0, 5);
    assert_int_equal(other.value, -1);
    assert_int_equal(bus.asked, 2);
    reply(1, 6);
    assert_int_equal(leaver.viewer.value, 6);
}

static void test_the_impatient_are_shown_the_last_answer(void **state)
{
    struct viewer one, two;
    struct told told;
    look(*state, &one, "jobs.health");
    assert_false(answers_settle(*state, &one.asked, &told));
    reply(0, 1);
    bus.now += 2000;
    look(*state, &one, "jobs.health");
    assert_int_equal(one.value, -1);
    bus.now += 400;
    assert_true(answers_settle(*state, &one.asked, &told));
    assert_int_equal(js_int(told.result, "value", 0), 1);
    told_fini(&told);
    look(*state, &two, "jobs.health"); /* others have waited in vain already */
    assert_int_equal(two.value, 1);
    refuse(1, ERR_TIMEOUT);
    assert_int_equal(one.value, -1);
    bus.now += 2000;
    look(*state, &two, "jobs.health");
    bus.now += 400;
    assert_true(answers_settle(*state, &two.asked, &told)); /* the truth, not the good old times */
    assert_int_equal(told.error, ERR_TIMEOUT);
    assert_string_equal(told.detail, "jobs does not answer");
}

static void test_what_is_too_old_is_not_shown(void **state)
{
    struct viewer one;
    struct told told;
    look(*state, &one, "jobs.health");
    reply(0, 1);
    bus.now += 10000;
    look(*state, &one, "jobs.health");
    assert_false(answers_settle(*state, &one.asked, &told));
    reply(1, 2);
    assert_int_equal(one.value, 2);
}

static void test_a_change_outdates_what_was_asked_before(void **state)
{
    struct viewer before, after, later;
    look(*state, &before, "jobs.recent");
    answers_expire(*state);
    look(*state, &after, "jobs.recent");
    assert_int_equal(bus.asked, 2);
    assert_int_equal(bus.given_up, 1);
    reply(1, 2);
    assert_int_equal(before.value, 2);
    assert_int_equal(after.value, 2);
    look(*state, &later, "jobs.recent");
    answers_expire(*state);
    look(*state, &later, "jobs.recent");
    assert_int_equal(bus.asked, 3);
    answers_expire(*state);
    reply(2, 3); /* nobody asked since: told to who waited, and then forgotten */
    assert_int_equal(later.value, 3);
    look(*state, &later, "jobs.recent");
    assert_int_equal(bus.asked, 4);
    reply(3, 4);
    assert_int_equal(later.value, 4);
}

static void test_errors_are_shared_and_say_who(void **state)
{
    struct viewer one, two;
    look(*state, &one, "jobs.health");
    look(*state, &two, "jobs.health");
    refuse(0, ERR_NO_SERVICE);
    assert_int_equal(one.value, -2);
    assert_string_equal(two.detail, "no replica of jobs runs");
    look(*state, &one, "jobs.health");
    assert_int_equal(bus.asked, 1);
    look(*state, &one, "worker@0011.drain");
    refuse(1, ERR_PEER_LOST);
    assert_string_equal(one.detail, "worker does not answer");
    look(*state, &one, "jobs.get");
    refuse(2, ERR_INVALID);
    assert_string_equal(one.detail, "why");
}

/* An absent service is not waited for: who waits does so for one that is there again. */
static void test_who_came_back_is_not_said_to_be_absent(void **state)
{
    struct viewer first, second;
    look(*state, &first, "jobs.health");
    refuse(0, ERR_NO_SERVICE);
    bus.now += 2000;
    look(*state, &first, "jobs.health");
    bus.now += 500;
    look(*state, &second, "jobs.health");
    assert_int_equal(second.value, -1);
    reply(1, 5);
    assert_int_equal(second.value, 5);
}

static void test_an_older_service_is_told_from_what_is_not_there(void **state)
{
    struct viewer one;
    look(*state, &one, "jobs.stats");
    refuse_with(0, ERR_NOT_FOUND, "no such method");
    assert_int_equal(one.error, ERR_NO_SERVICE);
    assert_string_equal(one.detail,
                        "jobs is older than the monitor and can't tell this: upgrade it");
    look(*state, &one, "jobs.get");
    refuse_with(1, ERR_NOT_FOUND, "Job not found");
    assert_int_equal(one.error, ERR_NOT_FOUND);
}

static void test_there_is_a_limit(void **state)
{
    static struct viewer viewers[ANSWERS_MAX + 1];
    for (int i = 0; i <= ANSWERS_MAX; i++) {
        AUTOFREE char *method = mem_printf("a.m%d", i);
        look(*state, &viewers[i], method);
    }
    assert_int_equal(bus.asked, ANSWERS_MAX);
    assert_int_equal(viewers[ANSWERS_MAX].value, -2);
    for (int i = 0; i < ANSWERS_MAX; i++)
        reply((size_t)i, i);
    bus.now += 20000;
    look(*state, &viewers[0], "a.another"); /* what is old makes room */
    assert_int_equal(bus.asked, ANSWERS_MAX + 1);
    answers_drop(&viewers[0].asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ten_viewers_cost_one_question, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_questions_are_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_leaves_is_not_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_is_told_may_drop_others_and_ask_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_impatient_are_shown_the_last_answer, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_too_old_is_not_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_change_outdates_what_was_asked_before, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_errors_are_shared_and_say_who, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_came_back_is_not_said_to_be_absent, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_older_service_is_told_from_what_is_not_there,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_there_is_a_limit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
