#include "tests/unit/unit.h"

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/partials.h"

enum { RUNS = 3, GATEWAYS = 16, WAIT_MS = 20000, SHORT_WATCH_MS = 300 };

struct world {
    struct loop *loop;
    struct partials *partials;
    struct partial_run *runs[RUNS];
    struct partial_text said[RUNS]; /* text NULL: nothing */
    char shown[GATEWAYS][2 * PARTIALS_TEXT_MAX];
    int64_t next[GATEWAYS];
    unsigned sent[GATEWAYS], anew[GATEWAYS];
    int64_t turn; /* of the last message */
    unsigned looks;
    bool full;
};

static void on_send(void *arg, uint64_t gateway, json_t *args)
{
    struct world *world = arg;
    assert_true(gateway > 0 && gateway < GATEWAYS);
    int64_t part = js_int(args, "part", -1);
    const char *text = js_str(args, "text", NULL);
    assert_true(text && *text && js_is_utf8(text, strlen(text)));
    assert_true(strlen(text) <= PARTIALS_TEXT_MAX);
    assert_string_equal(js_str(args, "user_id", ""), "me");
    assert_int_equal(js_int(args, "attempt", 0), 2);
    assert_true(part == 0 || part == world->next[gateway]);
    if (part == 0) {
        *world->shown[gateway] = '\0';
        world->anew[gateway]++;
    }
    strcat(world->shown[gateway], text);
    world->next[gateway] = part + 1;
    world->sent[gateway]++;
    world->turn = js_int(args, "turn", 0);
    json_decref(args);
}

static bool has_room(void *arg)
{
    return !((struct world *)arg)->full;
}

static struct world *the_world;

static bool look(void *arg, struct partial_text *ret_text)
{
    const struct partial_text *said = arg;
    the_world->looks++;
    *ret_text = *said;
    return said->text;
}

static void say(struct world *world, size_t run, const char *text)
{
    world->said[run].text = text;
    world->said[run].len = text ? strlen(text) : 0;
}

static int set_up(void **state)
{
    struct world *world = mem_alloc(sizeof *world);
    world->loop = loop_new();
    struct partials_options options = {.loop = world->loop,
                                       .watch_ms = SHORT_WATCH_MS * 100,
                                       .send = on_send,
                                       .has_room = has_room,
                                       .arg = world};
    world->partials = partials_new(&options);
    for (size_t i = 0; i < RUNS; i++) {
        world->said[i] = (struct partial_text){.number = 1, .turn = 1};
        world->runs[i] = partial_run_new(world->partials, "job", "me", 2, look, &world->said[i]);
    }
    *state = the_world = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < RUNS; i++)
        partial_run_destroy(&world->runs[i]);
    partials_destroy(&world->partials);
    loop_destroy(&world->loop);
    free(world);
    return 0;
}

struct wish {
    const struct world *world;
    uint64_t gateway;
    const char *text;
    unsigned looks;
};

static bool is_shown(void *arg)
{
    const struct wish *wish = arg;
    return strcmp(wish->world->shown[wish->gateway], wish->text) == 0;
}

static void wait_shown(struct world *world, uint64_t gateway, const char *text)
{
    struct wish wish = {world, gateway, text, 0};
    assert_true(loop_run_until(world->loop, is_shown, &wish, WAIT_MS));
}

static bool has_looked(void *arg)
{
    const struct wish *wish = arg;
    return wish->world->looks >= wish->looks;
}

static bool is_anew(void *arg)
{
    const struct wish *wish = arg;
    return wish->world->anew[wish->gateway] >= wish->looks;
}

static void wait_anew(struct world *world, uint64_t gateway, unsigned times)
{
    struct wish wish = {world, gateway, NULL, times};
    assert_true(loop_run_until(world->loop, is_anew, &wish, WAIT_MS));
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

/* Until what was there to send has been sent. */
static void settle(struct world *world)
{
    struct wish wish = {world, 0, NULL, world->looks + 2 * RUNS};
    assert_true(loop_run_until(world->loop, has_looked, &wish, WAIT_MS));
}

static void what_is_new_is_sent(void **state)
{
    struct world *world = *state;
    partial_run_watch(world->runs[0], 1, 0);
    settle(world);
    assert_int_equal(world->sent[1], 0);
    say(world, 0, "Hel");
    wait_shown(world, 1, "Hel");
    say(world, 0, "Hello");
    wait_shown(world, 1, "Hello");
    assert_int_equal(world->sent[1], 2);
    settle(world);
    assert_int_equal(world->sent[1], 2);
}

static void another_text_begins_anew(void **state)
{
    struct world *world = *state;
    partial_run_watch(world->runs[0], 1, 0);
    say(world, 0, "long and wrong");
    wait_shown(world, 1, "long and wrong");
    world->said[0].number = 2;
    world->said[0].turn = 7;
    say(world, 0, NULL);
    settle(world);
    assert_string_equal(world->shown[1], "long and wrong");
    say(world, 0, "right");
    wait_shown(world, 1, "right");
    assert_int_equal(world->anew[1], 2);
    assert_int_equal(world->turn, 7);
}

static void who_misses_a_part_gets_it_from_the_beginning(void **state)
{
    struct world *world = *state;
    partial_run_watch(world->runs[0], 1, 0);
    say(world, 0, "so far");
    wait_shown(world, 1, "so far");
    partial_run_watch(world->runs[0], 2, 0);
    wait_shown(world, 2, "so far");
    assert_int_equal(world->sent[1], 1);
    partial_run_watch(world->runs[0], 1, 1);
    settle(world);
    assert_int_equal(world->sent[1], 1);
    partial_run_watch(world->runs[0], 1, 0);
    wait_anew(world, 1, 2);
    assert_string_equal(world->shown[1], "so far");
}

static void many_that_miss_a_part_get_one_beginning(void **state)
{
    struct world *world = *state;
    partial_run_watch(world->runs[0], 1, 0);
    say(world, 0, "so far");
    wait_shown(world, 1, "so far");
    int64_t began = loop_now(world->loop);
    for (int i = 0; i < 5; i++) {
        struct wish wish = {world, 0, NULL, world->looks + 2};
        partial_run_watch(world->runs[0], 1, 0);
        assert_true(loop_run_until(world->loop, has_looked, &wish, WAIT_MS));
    }
    assert_true(world->anew[1] <= 2 + (loop_now(world->loop) - began) / PARTIALS_ANEW_MS);
    partial_run_watch(world->runs[0], 1, 0);
    wait_anew(world, 1, world->anew[1] + 1);
}

static void a_watch_and_a_part_may_cross(void **state)
{
    struct world *world = *state;
    partial_run_watch(world->runs[0], 1, 0);
    say(world, 0, "so ");
    wait_shown(world, 1, "so ");
    loop_run_until(world->loop, never, NULL, PARTIALS_ANEW_MS);
    int64_t before = loop_now(world->loop);
    say(world, 0, "so far");
    wait_shown(world, 1, "so far");
    partial_run_watch(world->runs[0], 1, 1);
    bool crossed = loop_now(world->loop) - before < PARTIALS_CROSSED_MS;
    settle(world);
    assert_true(!crossed || world->anew[1] == 1);
    loop_run_until(world->loop, never, NULL, PARTIALS_CROSSED_MS);
    partial_run_watch(world->runs[0], 1, 1);
    wait_anew(world, 1, 2);
}

static void a_text_is_told_as_far_as_its_event_tells_it(void **state)
{
    struct world *world = *state;
    char *text = mem_alloc(3 * PARTIALS_TEXT_MAX), *told = mem_alloc(PARTIALS_TEXT_MAX + 1);
    text[0] = 'a';
    for (size_t i = 1; i + 4 < 3 * PARTIALS_TEXT_MAX; i += 4)
        memcpy(text + i, "😀", 4);
    memcpy(told, text, PARTIALS_TEXT_MAX - 3); /* the border is within a character */
    partial_run_watch(world->runs[0], 1, 0);
    say(world, 0, text);
    wait_shown(world, 1, told);
    settle(world);
    assert_string_equal(world->shown[1], told);
    assert_int_equal(world->sent[1], 1);
    free(text);
    free(told);
}

static void watchers_are_few(void **state)
{
    struct world *world = *state;
    for (uint64_t gateway = 1; gateway < GATEWAYS; gateway++)
        partial_run_watch(world->runs[0], gateway, 0);
    say(world, 0, "some");
    wait_shown(world, 1, "some");
    settle(world);
    for (uint64_t gateway = 1; gateway < GATEWAYS; gateway++)
        assert_int_equal(world->sent[gateway], gateway <= PARTIALS_WATCHERS_MAX);
}

/* However late the loop is: a watch may be over before it is looked at. */
static void watch_until_shown(struct world *world, struct partial_run *run, const char *text)
{
    struct wish wish = {world, 1, text, 0};
    for (int i = 0; i < 100 && !is_shown(&wish); i++) {
        partial_run_watch(run, 1, 0);
        loop_run_until(world->loop, is_shown, &wish, SHORT_WATCH_MS);
    }
    assert_string_equal(world->shown[1], text);
}

static void a_watch_ends(void **state)
{
    struct world *world = *state;
    struct partials_options options = {.loop = world->loop,
                                       .watch_ms = SHORT_WATCH_MS,
                                       .send = on_send,
                                       .has_room = has_room,
                                       .arg = world};
    struct partials *partials = partials_new(&options);
    struct partial_run *run = partial_run_new(partials, "job", "me", 2, look, &world->said[0]);
    say(world, 0, "heard");
    watch_until_shown(world, run, "heard");
    loop_run_until(world->loop, is_shown, &(struct wish){world, 1, "never", 0}, 2 * SHORT_WATCH_MS);
    say(world, 0, "heard no more");
    unsigned looks = world->looks;
    loop_run_until(world->loop, is_shown, &(struct wish){world, 1, "never", 0}, 2 * SHORT_WATCH_MS);
    assert_int_equal(world->looks, looks);
    assert_string_equal(world->shown[1], "heard");
    watch_until_shown(world, run, "heard no more");
    partial_run_destroy(&run);
    partials_destroy(&partials);
}

static void a_full_bus_gets_it_later(void **state)
{
    struct world *world = *state;
    partial_run_watch(world->runs[0], 1, 0);
    say(world, 0, "one ");
    wait_shown(world, 1, "one ");
    world->full = true;
    say(world, 0, "one two ");
    loop_run_until(world->loop, is_shown, &(struct wish){world, 1, "never", 0}, SHORT_WATCH_MS);
    assert_string_equal(world->shown[1], "one ");
    say(world, 0, "one two three");
    world->full = false;
    wait_shown(world, 1, "one two three");
    assert_int_equal(world->sent[1], 2);
}

static void a_run_may_end_at_any_time(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < RUNS; i++) {
        partial_run_watch(world->runs[i], i + 1, 0);
        say(world, i, "words");
    }
    partial_run_destroy(&world->runs[1]);
    wait_shown(world, 1, "words");
    wait_shown(world, 3, "words");
    assert_int_equal(world->sent[2], 0);
    partial_run_destroy(&world->runs[0]);
    partial_run_destroy(&world->runs[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_new_is_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_text_begins_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_misses_a_part_gets_it_from_the_beginning, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(many_that_miss_a_part_get_one_beginning, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_watch_and_a_part_may_cross, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_text_is_told_as_far_as_its_event_tells_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(watchers_are_few, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_watch_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_bus_gets_it_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_run_may_end_at_any_time, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
