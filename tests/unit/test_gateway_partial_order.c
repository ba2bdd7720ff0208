#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "services/gateway/partial_order.h"

static bool take(struct partial_order *order, int64_t attempt, int64_t turn, int64_t part)
{
    return partial_order_take(order, attempt, turn, part);
}

/* Not passed on, and a beginning is needed now. */
static bool is_lost(struct partial_order *order, int64_t attempt, int64_t turn, int64_t part)
{
    return !partial_order_take(order, attempt, turn, part) && order->next == 0;
}

/* Not passed on, as if it had never come. */
static bool is_old(struct partial_order *order, int64_t attempt, int64_t turn, int64_t part)
{
    struct partial_order before = *order;
    return !partial_order_take(order, attempt, turn, part) && before.attempt == order->attempt &&
           before.turn == order->turn && before.told == order->told && before.next == order->next;
}

static bool tell(struct partial_order *order, const char *type, const char *json)
{
    AUTOJSON json_t *data = json_loads(json, 0, NULL);
    assert_non_null(data);
    return partial_order_event(order, type, data);
}

static void parts_follow_each_other(void **state)
{
    (void)state;
    struct partial_order order = {0};
    for (int64_t part = 0; part < 5; part++)
        assert_true(take(&order, 1, 1, part));
    assert_true(take(&order, 1, 1, 0));
    assert_true(take(&order, 1, 1, 1));
    assert_true(take(&order, 1, 2, 0));
}

static void behind_a_gap_only_the_beginning_fits(void **state)
{
    (void)state;
    struct partial_order order = {0};
    assert_true(is_lost(&order, 1, 1, 3));
    assert_true(is_lost(&order, 1, 1, 4));
    assert_true(take(&order, 1, 1, 0));
    assert_true(is_lost(&order, 1, 1, 2));
    assert_true(is_lost(&order, 1, 1, 1));
    assert_true(take(&order, 1, 1, 0));
    assert_true(is_lost(&order, 1, 1, 0 - 1));
    assert_true(is_lost(&order, 1, 2, 1));
    assert_true(is_lost(&order, 1, 2, 2));
}

static void behind_a_loss_only_the_beginning_fits(void **state)
{
    (void)state;
    struct partial_order order = {0};
    assert_true(take(&order, 1, 1, 0));
    partial_order_lose(&order);
    assert_true(is_lost(&order, 1, 1, 1));
    assert_true(is_lost(&order, 1, 1, 0 - 1));
    assert_true(take(&order, 1, 1, 0));
}

static void what_is_older_is_not_told(void **state)
{
    (void)state;
    struct partial_order order = {0};
    assert_true(take(&order, 2, 3, 0));
    assert_true(is_old(&order, 1, 3, 0));
    assert_true(is_old(&order, 1, 4, 0));
    assert_true(is_old(&order, 2, 2, 0));
    assert_true(take(&order, 2, 3, 1));
}

static void a_turn_that_an_event_has_told_is_over(void **state)
{
    (void)state;
    struct partial_order order = {0};
    assert_true(take(&order, 1, 1, 0));
    assert_false(tell(&order, "message", "{\"text\":\"all\",\"turn\":1}"));
    assert_true(is_old(&order, 1, 1, 1));
    assert_true(is_old(&order, 2, 1, 0));
    assert_true(take(&order, 1, 2, 0));
    assert_false(tell(&order, "tool_call", "{\"turn\":2}"));
    assert_true(is_old(&order, 1, 2, 0));
}

static void an_attempt_that_begins_ends_the_one_before(void **state)
{
    (void)state;
    struct partial_order order = {0};
    assert_true(tell(&order, "status", "{\"status\":\"running\",\"attempt\":1}"));
    assert_true(take(&order, 1, 5, 0));
    assert_true(tell(&order, "status", "{\"status\":\"running\",\"attempt\":2}"));
    assert_true(is_old(&order, 1, 5, 1));
    assert_true(take(&order, 2, 2, 0));
    assert_true(take(&order, 3, 1, 0));
    assert_true(tell(&order, "status", "{\"status\":\"running\",\"attempt\":3}"));
    assert_true(take(&order, 3, 1, 1));
}

static void a_job_that_does_not_run_is_idle(void **state)
{
    (void)state;
    struct partial_order order = {0};
    assert_false(order.idle);
    assert_false(tell(&order, "status", "{\"status\":\"pending\"}"));
    assert_true(order.idle);
    assert_false(tell(&order, "progress", "{\"status\":\"running\",\"attempt\":7}"));
    assert_true(order.idle);
    assert_true(tell(&order, "status", "{\"status\":\"running\",\"attempt\":1}"));
    assert_false(order.idle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_follow_each_other),
        cmocka_unit_test(behind_a_gap_only_the_beginning_fits),
        cmocka_unit_test(behind_a_loss_only_the_beginning_fits),
        cmocka_unit_test(what_is_older_is_not_told),
        cmocka_unit_test(a_turn_that_an_event_has_told_is_over),
        cmocka_unit_test(an_attempt_that_begins_ends_the_one_before),
        cmocka_unit_test(a_job_that_does_not_run_is_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
