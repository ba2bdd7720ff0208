#include "tests/unit/unit.h"

#include "services/worker/model_gate.h"

static void an_open_gate_holds_nobody(void **state)
{
    (void)state;
    struct model_gate gate = {0};
    for (int64_t now = 1000; now < 1010; now++) {
        assert_int_equal(model_gate_wait(&gate, now), 0);
        model_gate_pass(&gate, now);
        model_gate_answered(&gate, now);
    }
}

static void behind_a_refusal_one_goes_after_the_other(void **state)
{
    (void)state;
    struct model_gate gate = {0};
    model_gate_refused(&gate, 1000, 900, 3000);
    assert_int_equal(model_gate_wait(&gate, 1000), 3000);
    assert_int_equal(model_gate_wait(&gate, 4000), 0);
    model_gate_pass(&gate, 4000);
    assert_int_equal(model_gate_wait(&gate, 4000), gate.pace);
    assert_true(gate.pace > 0);
}

/* Three hundred that were on their way together are one sign, not three hundred. */
static void a_burst_of_refusals_counts_once(void **state)
{
    (void)state;
    struct model_gate gate = {0};
    for (int i = 0; i < 300; i++)
        model_gate_refused(&gate, 1000 + i, 900, 1000);
    int64_t pace = gate.pace;
    model_gate_refused(&gate, 3000, 2500, 1000);
    assert_int_equal(gate.pace, pace * 2);
    assert_int_equal(model_gate_wait(&gate, 3000), 1000);
    for (int64_t now = 10000; now < 20000; now += 1000)
        model_gate_refused(&gate, now, now - 1, 0);
    assert_true(gate.pace <= 2000);
}

static void answers_open_it_again(void **state)
{
    (void)state;
    struct model_gate gate = {0};
    model_gate_refused(&gate, 1000, 900, 0);
    model_gate_answered(&gate, 900); /* sent before: says nothing */
    assert_true(gate.pace > 0);
    int answers = 0;
    for (; gate.pace && answers < 100; answers++)
        model_gate_answered(&gate, 2000);
    assert_in_range(answers, 2, 20);
    model_gate_pass(&gate, 3000);
    assert_int_equal(model_gate_wait(&gate, 3000), 0);
}

/* A later, shorter wait does not open it early. */
static void the_longest_wait_counts(void **state)
{
    (void)state;
    struct model_gate gate = {0};
    model_gate_refused(&gate, 1000, 900, 60000);
    model_gate_refused(&gate, 1001, 900, 1000);
    assert_int_equal(model_gate_wait(&gate, 2000), 59000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_gate_holds_nobody),
        cmocka_unit_test(behind_a_refusal_one_goes_after_the_other),
        cmocka_unit_test(a_burst_of_refusals_counts_once),
        cmocka_unit_test(answers_open_it_again),
        cmocka_unit_test(the_longest_wait_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
