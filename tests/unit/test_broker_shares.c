/* What one key may take up at a broker. */
#include "tests/unit/unit.h"

#include "services/broker/internal.h"

static struct share *join(struct broker *broker, const char *key, size_t count)
{
    struct share *share = NULL;
    for (size_t i = 0; i < count; i++)
        share = share_join(broker, key);
    return share;
}

static void test_a_key_has_half_of_the_connections(void **state)
{
    (void)state;
    struct broker broker = {.shares = map_new()};
    struct share *share = join(&broker, "one", SHARE_PEERS_MAX), *other = share;
    assert_non_null(share);
    assert_null(share_join(&broker, "one"));
    struct share *second = join(&broker, "two", 1);
    assert_non_null(second);
    share_leave(&broker, &other);
    assert_null(other);
    assert_non_null(share_join(&broker, "one"));
    for (size_t i = 0; i < SHARE_PEERS_MAX; i++) {
        other = share;
        share_leave(&broker, &other);
    }
    share_leave(&broker, &second);
    assert_int_equal(map_count(broker.shares), 0);
    shares_free(&broker);
}

static enum err begin(struct broker *broker, struct peer *caller, struct peer *server, uint64_t seq)
{
    struct proto_header header = {.instance = caller->instance, .seq = seq, .ttl_ms = 1000};
    return flight_begin(broker, &header, caller, server);
}

static void test_a_key_has_half_of_the_requests(void **state)
{
    (void)state;
    struct broker broker = {.loop = loop_new(), .flights = map_new()};
    struct share greedy = {.peers = 2}, modest = {.peers = 1};
    struct peer first = {.instance = 1, .share = &greedy},
                second = {.instance = 2, .share = &greedy},
                other = {.instance = 3, .share = &modest};
    uint64_t seq = 0;
    while (++seq <= SHARE_FLIGHTS_MAX)
        assert_int_equal(begin(&broker, seq & 1 ? &first : &second, &first, seq), ERR_OK);
    assert_int_equal(begin(&broker, &first, &first, seq), ERR_OVERLOADED);
    assert_int_equal(begin(&broker, &second, &other, seq), ERR_OVERLOADED);
    assert_int_equal(begin(&broker, &other, &first, seq), ERR_OK);
    flight_end(&broker, flight_find(&broker, 1, 1));
    assert_int_equal(begin(&broker, &second, &other, seq), ERR_OK);
    second.dead = other.dead = true; /* there is no socket to tell them by */
    flights_peer_lost(&broker, &first);
    flights_peer_lost(&broker, &second);
    assert_int_equal(map_count(broker.flights), 0);
    assert_int_equal(first.flights + second.flights + other.flights, 0);
    assert_int_equal(greedy.flights + modest.flights, 0);
    flights_free(&broker);
    loop_destroy(&broker.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_has_half_of_the_connections),
        cmocka_unit_test(test_a_key_has_half_of_the_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
