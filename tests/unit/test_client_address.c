#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/client_address.h"

static const char trusted[] = "10.0.0.0/8, 127.0.0.1,2001:db8::/32 , fd00::1";

static struct proxies *proxies_of(const char *setting, bool forwarded)
{
    struct proxies *proxies = NULL;
    assert_int_equal(proxies_new(setting, forwarded, &proxies), ERR_OK);
    return proxies;
}

static void check(const struct proxies *proxies, const char *peer, const struct client_lines *lines,
                  const char *address, bool https)
{
    struct client client;
    client_from(proxies, peer, lines, &client);
    assert_string_equal(client.address, address);
    assert_int_equal(client.https, https);
}

static void test_setting(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "10.0.0.0/33", "10.0.0.0/", "proxy.example", "10.0.0", "::1/129",      "10.0.0.1 10.0.0.2",
        "10.0.0.0/-1", "/8",        "10.0.0.0/8x",   "[::1]",  "fe80::1%eth0", "1.2.3.4:80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct proxies *proxies = NULL;
        assert_int_equal(proxies_new(bad[i], false, &proxies), ERR_INVALID);
        assert_null(proxies);
    }
    char many[CLIENT_PROXIES_MAX * 9 + 16] = "";
    for (int i = 0; i <= CLIENT_PROXIES_MAX; i++)
        strcat(many, "10.0.0.1,");
    struct proxies *proxies = NULL;
    assert_int_equal(proxies_new(many, false, &proxies), ERR_INVALID);
    many[strlen(many) - strlen("10.0.0.1,")] = '\0';
    proxies = proxies_of(many, false);
    proxies_destroy(&proxies);
    proxies_destroy(&proxies);
}

/* What a stranger writes is believed from nobody but a proxy, and there only what it added. */
static void test_strangers(void **state)
{
    (void)state;
    struct proxies *none = proxies_of(NULL, false), *some = proxies_of(trusted, false);
    const struct client_lines spoof = {.hops = {"1.1.1.1"}, .count = 1, .proto = "https"};
    check(none, "127.0.0.1", &spoof, "127.0.0.1", false);
    check(some, "203.0.113.9", &spoof, "203.0.113.9", false);
    check(some, "127.0.0.1", &spoof, "1.1.1.1", true);
    check(some, "::ffff:127.0.0.1", &spoof, "1.1.1.1", true);
    check(some, "11.0.0.1", &spoof, "11.0.0.1", false);
    check(some, "", &spoof, "", false);
    const struct client_lines added = {.hops = {"9.9.9.9, 1.1.1.1, 203.0.113.7"}, .count = 1};
    check(some, "10.1.2.3", &added, "203.0.113.7", false);
    const struct client_lines lines = {.hops = {"9.9.9.9", "203.0.113.7"}, .count = 2};
    check(some, "10.1.2.3", &lines, "203.0.113.7", false);
    proxies_destroy(&none);
    proxies_destroy(&some);
}

static void test_chain(void **state)
{
    (void)state;
    struct proxies *some = proxies_of(trusted, false);
    const struct client_lines chain = {
        .hops = {"9.9.9.9,  203.0.113.7 ", "10.0.0.2 ,2001:db8::5"}, .count = 2, .proto = "https"};
    check(some, "fd00::1", &chain, "203.0.113.7", true);
    const struct client_lines all = {.hops = {"10.0.0.9,10.0.0.2"}, .count = 1, .proto = "http"};
    check(some, "127.0.0.1", &all, "10.0.0.9", false);
    const struct client_lines ports = {.hops = {"[2001:dba::7]:4711"}, .count = 1};
    check(some, "127.0.0.1", &ports, "2001:dba::7", false);
    const struct client_lines port = {.hops = {"203.0.113.7:4711"}, .count = 1};
    check(some, "127.0.0.1", &port, "203.0.113.7", false);
    const struct client_lines four = {.hops = {"::ffff:203.0.113.7"}, .count = 1};
    check(some, "127.0.0.1", &four, "203.0.113.7", false);
    const struct client_lines absent = {.count = 0};
    check(some, "127.0.0.1", &absent, "127.0.0.1", false);
    proxies_destroy(&some);
}

/* What can't be read leaves the proxy that wrote it. */
static void test_garbage(void **state)
{
    (void)state;
    struct proxies *some = proxies_of(trusted, false);
    static const char *const bad[] = {
        "unknown", "",       "203.0.113", "203.0.113.7 x", "[203.0.113.7]",
        "[::1",    "[::1]x", "1.1.1.1, ", "a:b:c",         "1.1.1.1;2.2.2.2"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const struct client_lines lines = {.hops = {"1.1.1.1", bad[i]}, .count = 2};
        check(some, "127.0.0.1", &lines, "127.0.0.1", false);
    }
    const struct client_lines middle = {.hops = {"1.1.1.1, x, 10.0.0.4"}, .count = 1};
    check(some, "127.0.0.1", &middle, "10.0.0.4", false);
    char longer[CLIENT_LINE_MAX + 2];
    memset(longer, '1', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    memcpy(longer + sizeof(longer) - 9, ",1.1.1.1", 9);
    const struct client_lines huge = {.hops = {longer}, .count = 1};
    check(some, "127.0.0.1", &huge, "127.0.0.1", false);
    char hops[CLIENT_LINE_MAX] = "1.1.1.1";
    for (int i = 0; i < CLIENT_HOPS_MAX; i++)
        strcat(hops, ",10.0.0.1");
    const struct client_lines many = {.hops = {hops}, .count = 1};
    check(some, "127.0.0.1", &many, "10.0.0.1", false);
    proxies_destroy(&some);
}

static void test_proto(void **state)
{
    (void)state;
    struct proxies *some = proxies_of(trusted, false);
    static const struct {
        const char *hops, *proto;
        bool https;
    } cases[] = {
        {"1.1.1.1", "https", true},
        {"1.1.1.1", "HTTPS", true},
        {"1.1.1.1", "httpsx", false},
        {"1.1.1.1", "https,http", false}, /* the left one is the client's word */
        {"1.1.1.1", "http, https", true},
        {"1.1.1.1, 10.0.0.1", "https, http", true},
        {"9.9.9.9, 1.1.1.1, 10.0.0.1", "http, https, http", true},
        {"1.1.1.1, 10.0.0.1", "https", true}, /* the proxies replace it */
        {"1.1.1.1", "", false},
        {"1.1.1.1", NULL, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct client_lines lines = {
            .hops = {cases[i].hops}, .count = 1, .proto = cases[i].proto};
        check(some, "127.0.0.1", &lines, "1.1.1.1", cases[i].https);
    }
    proxies_destroy(&some);
}

static void test_forwarded(void **state)
{
    (void)state;
    struct proxies *some = proxies_of(trusted, true);
    static const struct {
        const char *line, *address;
        bool https;
    } cases[] = {
        {"for=192.0.2.43", "192.0.2.43", false},
        {"For=\"[2001:dba:cafe::17]:4711\";proto=https;by=203.0.113.43", "2001:dba:cafe::17", true},
        {"for=9.9.9.9, for=192.0.2.60;proto=https , proto=http;for=10.0.0.2", "192.0.2.60", true},
        {"for=\"192.0.2.4\\3:80\"", "192.0.2.43", false},
        {" ; for=192.0.2.43 ; proto=https ;", "192.0.2.43", true},
        {"for=unknown;proto=https", "127.0.0.1", true},
        {"for=\"_hidden\"", "127.0.0.1", false},
        {"proto=https", "127.0.0.1", true},
        {"", "127.0.0.1", false},
        /* a quote that a stranger left open */
        {"for=\"evil, for=192.0.2.43", "127.0.0.1", false},
        {"x=\"evil, for=\"192.0.2.43:80\"", "127.0.0.1", false},
        {"for=192.0.2.43 for=1.1.1.1", "127.0.0.1", false},
        {"for", "127.0.0.1", false},
        {"for=", "127.0.0.1", false},
        {"for=\"a\\", "127.0.0.1", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct client_lines lines = {.hops = {cases[i].line}, .count = 1};
        check(some, "127.0.0.1", &lines, cases[i].address, cases[i].https);
    }
    const struct client_lines two = {.hops = {"for=\"open", "for=192.0.2.43;proto=https"},
                                     .count = 2};
    check(some, "127.0.0.1", &two, "192.0.2.43", true);
    const struct client_lines past = {.hops = {"for=\"open", "for=10.0.0.1"}, .count = 2};
    check(some, "127.0.0.1", &past, "10.0.0.1", false);
    char hops[CLIENT_LINE_MAX] = "for=1.1.1.1";
    for (int i = 0; i < 2 * CLIENT_HOPS_MAX; i++)
        strcat(hops, ",for=10.0.0.1");
    const struct client_lines many = {.hops = {hops}, .count = 1};
    check(some, "127.0.0.1", &many, "10.0.0.1", false);
    proxies_destroy(&some);
}

static void test_network(void **state)
{
    (void)state;
    char network[CLIENT_ADDRESS_SIZE];
    client_network("192.0.2.43", network);
    assert_string_equal(network, "192.0.2.43");
    client_network("2001:db8:1:2:3:4:5:6", network);
    assert_string_equal(network, "2001:db8:1:2::");
    client_network("", network);
    assert_string_equal(network, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_setting), cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_chain),   cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_proto),   cmocka_unit_test(test_forwarded),
        cmocka_unit_test(test_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
