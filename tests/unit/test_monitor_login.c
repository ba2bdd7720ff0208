#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/mem.h"
#include "services/monitor/login_guess.h"
#include "services/monitor/login_page.h"
#include "services/monitor/login_read.h"
#include "services/monitor/login_ticket.h"

enum { NOW = 1700000000 };

static const struct ticket ada = {
    .name = "ada@example.com", .how = "google", .expires_at = NOW + TICKET_LIFE_S};

/* The cookie */

static void a_ticket_is_what_was_sealed(void **unused)
{
    (void)unused;
    struct login_keys keys;
    struct ticket read;
    login_keys_init(&keys, "a secret of sixteen", NULL);
    AUTOFREE char *sealed = ticket_seal(&keys, &ada);
    assert_null(strpbrk(sealed, " \t\r\n;,\"\\"));
    assert_int_equal(ticket_open(&keys, sealed, NOW, &read), ERR_OK);
    assert_string_equal(read.name, ada.name);
    assert_string_equal(read.how, ada.how);
    assert_int_equal(read.expires_at, ada.expires_at);
}

static void a_ticket_ends(void **unused)
{
    (void)unused;
    struct login_keys keys;
    struct ticket read, endless = ada;
    login_keys_init(&keys, "a secret of sixteen", NULL);
    AUTOFREE char *sealed = ticket_seal(&keys, &ada);
    assert_int_equal(ticket_open(&keys, sealed, ada.expires_at - 1, &read), ERR_OK);
    assert_int_equal(ticket_open(&keys, sealed, ada.expires_at, &read), ERR_EXPIRED);
    endless.expires_at = NOW + TICKET_LIFE_S + 1;
    AUTOFREE char *odd = ticket_seal(&keys, &endless);
    assert_int_equal(ticket_open(&keys, odd, NOW, &read), ERR_EXPIRED);
}

static void a_ticket_is_of_its_secret(void **unused)
{
    (void)unused;
    struct login_keys one, other, rolled, random;
    struct ticket read;
    login_keys_init(&one, "a secret of sixteen", NULL);
    login_keys_init(&other, "another one of more", NULL);
    login_keys_init(&rolled, "another one of more", "a secret of sixteen");
    login_keys_init(&random, NULL, NULL);
    AUTOFREE char *sealed = ticket_seal(&one, &ada);
    assert_int_equal(ticket_open(&rolled, sealed, NOW, &read), ERR_OK);
    assert_int_equal(ticket_open(&other, sealed, NOW, &read), ERR_INVALID);
    assert_int_equal(ticket_open(&random, sealed, NOW, &read), ERR_INVALID);
    AUTOFREE char *anew = ticket_seal(&rolled, &ada);
    assert_int_equal(ticket_open(&other, anew, NOW, &read), ERR_OK);
    assert_int_equal(ticket_open(&one, anew, NOW, &read), ERR_INVALID);
}

static void each_byte_of_a_ticket_counts(void **unused)
{
    (void)unused;
    struct login_keys keys;
    struct ticket read;
    login_keys_init(&keys, "a secret of sixteen", NULL);
    AUTOFREE char *sealed = ticket_seal(&keys, &ada);
    for (size_t i = 0; sealed[i]; i++) {
        char kept = sealed[i];
        sealed[i] = kept == 'x' ? 'y' : 'x';
        assert_int_equal(ticket_open(&keys, sealed, NOW, &read), ERR_INVALID);
        sealed[i] = kept;
    }
    static const char *const odd[] = {"", "v1", "v1..", "admin", "v1.00000000.AAAA"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
        assert_int_equal(ticket_open(&keys, odd[i], NOW, &read), ERR_INVALID);
}

static void what_is_sealed_for_something_else_is_no_ticket(void **unused)
{
    (void)unused;
    static const char good[] = "{\"name\":\"a\",\"how\":\"token\",\"exp\":1700000001}";
    static const char *const bodies[] = {
        "{}",
        "[]",
        "7",
        "text",
        "{\"name\":\"\",\"how\":\"token\",\"exp\":1700000001}",
        "{\"name\":\"a\",\"how\":\"a longer one than fits\",\"exp\":1700000001}"};
    struct login_keys keys;
    struct ticket read;
    login_keys_init(&keys, "a secret of sixteen", NULL);
    AUTOFREE char *right = crypto_seal(keys.keys[0], "monitor-session", good, strlen(good));
    AUTOFREE char *other = crypto_seal(keys.keys[0], "oauth-state", good, strlen(good));
    assert_int_equal(ticket_open(&keys, right, NOW, &read), ERR_OK);
    assert_int_equal(ticket_open(&keys, other, NOW, &read), ERR_INVALID);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        AUTOFREE char *odd =
            crypto_seal(keys.keys[0], "monitor-session", bodies[i], strlen(bodies[i]));
        assert_int_equal(ticket_open(&keys, odd, NOW, &read), ERR_INVALID);
    }
}

static void a_state_is_bound_by_the_key(void **unused)
{
    (void)unused;
    struct login_keys keys, other;
    char one[TICKET_MAC_SIZE], two[TICKET_MAC_SIZE], three[TICKET_MAC_SIZE];
    login_keys_init(&keys, "a secret of sixteen", NULL);
    login_keys_init(&other, "another one of more", NULL);
    ticket_bind(&keys, 0, "state", one);
    ticket_bind(&keys, 0, "State", two);
    ticket_bind(&other, 0, "state", three);
    assert_int_equal(strlen(one), TICKET_MAC_SIZE - 1);
    assert_string_not_equal(one, two);
    assert_string_not_equal(one, three);
}

/* What is read */

static void check_cookie(const char *header, const char *expected)
{
    AUTOFREE char *value = login_read_cookie(header, "name");
    if (expected)
        assert_string_equal(value, expected);
    else
        assert_null(value);
}

static void cookies(void **unused)
{
    (void)unused;
    check_cookie("name=value", "value");
    check_cookie("a=b; name=value; c=d", "value");
    check_cookie("a=b;name=value;", "value");
    check_cookie("a=b; \t name=", "");
    check_cookie("name=one; name=two", "one");
    check_cookie("name=a=b", "a=b");
    check_cookie("", NULL);
    check_cookie(";;; ;", NULL);
    check_cookie("name", NULL);
    check_cookie("myname=value", NULL);
    check_cookie("Name=value", NULL);
    check_cookie("a=name=value", NULL);
    AUTOFREE char *long_header = mem_alloc(LOGIN_HEADER_MAX + 20);
    memset(long_header, ' ', LOGIN_HEADER_MAX + 1);
    memcpy(long_header + LOGIN_HEADER_MAX + 1, "; name=value", sizeof("; name=value"));
    check_cookie(long_header, NULL);
}

static void check_authorization(const char *header, const char *expected, bool expected_basic)
{
    bool basic = false;
    AUTOFREE char *secret = login_read_authorization(header, &basic);
    if (!expected) {
        assert_null(secret);
        return;
    }
    assert_string_equal(secret, expected);
    assert_int_equal(basic, expected_basic);
}

static void authorizations(void **unused)
{
    (void)unused;
    check_authorization("Bearer secret", "secret", false);
    check_authorization("bearer   secret", "secret", false);
    check_authorization("Bearer ", "", false);
    check_authorization("Bearer", NULL, false);
    check_authorization("Bearersecret", NULL, false);
    check_authorization("secret", NULL, false);
    check_authorization("", NULL, false);
    check_authorization("Basic YTpi", "b", true);       /* a:b */
    check_authorization("BASIC OmI=", "b", true);       /* :b */
    check_authorization("Basic YTpiOmM=", "b:c", true); /* a:b:c */
    check_authorization("Basic YTo=", "", true);        /* a: */
    check_authorization("Basic YWI=", NULL, true);      /* ab */
    check_authorization("Basic YTpiAGM=", NULL, true);  /* a NUL in it */
    check_authorization("Basic !!!!", NULL, true);
    check_authorization("Basic ", NULL, true);
}

static void origins(void **unused)
{
    (void)unused;
    const char *host = "bus.example:5555", *url = "https://dash.example/";
    assert_true(login_is_own_origin("http://bus.example:5555", host, false, NULL));
    assert_true(login_is_own_origin("https://bus.example:5555", host, false, NULL));
    assert_true(login_is_own_origin("https://BUS.example:5555", host, true, NULL));
    assert_true(login_is_own_origin("https://dash.example", host, true, url));
    assert_false(login_is_own_origin("http://bus.example:5555", host, true, NULL));
    assert_false(login_is_own_origin("http://dash.example", host, true, url));
    assert_false(login_is_own_origin("https://dash.example.evil", host, true, url));
    assert_false(login_is_own_origin("https://dash.exampl", host, true, url));
    assert_false(login_is_own_origin("http://bus.example", host, false, NULL));
    assert_false(login_is_own_origin("http://bus.example:55555", host, false, NULL));
    assert_false(
        login_is_own_origin("http://evil.example/http://bus.example:5555", host, false, NULL));
    assert_false(login_is_own_origin("null", host, false, url));
    assert_false(login_is_own_origin("", host, false, url));
    assert_false(login_is_own_origin("http://", "", false, NULL));
}

static void admins(void **unused)
{
    (void)unused;
    const char *list = "ada@example.com, Ben@Example.org\t,,c@d.e";
    assert_true(login_admins_are_good(list));
    assert_true(login_admins_have(list, "ADA@example.com"));
    assert_true(login_admins_have(list, "ben@example.org"));
    assert_true(login_admins_have(list, "c@d.e"));
    static const char *const strangers[] = {"",
                                            "ada",
                                            "@",
                                            "a@example.com",
                                            "ada@example.co",
                                            "ada@example.comm",
                                            " ada@example.com",
                                            "ada@example.com, Ben@Example.org"};
    for (size_t i = 0; i < sizeof(strangers) / sizeof(*strangers); i++)
        assert_false(login_admins_have(list, strangers[i]));
    static const char *const bad[] = {"", ",", " , ", "ada", "@b", "a@", "a@b@c", "a b@c", "<a@b>"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(login_admins_are_good(bad[i]));
}

/* Guessing */

static const struct guess_limits limits = {
    .one = 3, .one_refill_ms = 1000, .all = 10, .all_refill_ms = 100, .addresses_max = 4};

static void an_address_has_its_budget(void **unused)
{
    (void)unused;
    struct guesses *guesses = guesses_new(&limits);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(guesses_wait(guesses, "a", 5000), 0);
        guesses_failed(guesses, "a", 5000);
    }
    assert_int_equal(guesses_wait(guesses, "a", 5000), 1000);
    assert_int_equal(guesses_wait(guesses, "b", 5000), 0);
    assert_int_equal(guesses_wait(guesses, "a", 5999), 1);
    assert_int_equal(guesses_wait(guesses, "a", 6000), 0);
    guesses_failed(guesses, "a", 6000);
    assert_int_equal(guesses_wait(guesses, "a", 6000), 1000);
    guesses_succeeded(guesses, "a", 6000);
    assert_int_equal(guesses_wait(guesses, "a", 6000), 1000); /* its own still counts */
    assert_int_equal(guesses_wait(guesses, "a", 90000), 0);
    guesses_destroy(&guesses);
    guesses_destroy(&guesses);
}

static void all_have_one_together(void **unused)
{
    (void)unused;
    struct guesses *guesses = guesses_new(&limits);
    char address[16];
    guesses_succeeded(guesses, "known", 5000);
    for (int i = 0; i < 10; i++) {
        snprintf(address, sizeof(address), "a%d", i);
        assert_int_equal(guesses_wait(guesses, address, 5000), 0);
        guesses_failed(guesses, address, 5000);
    }
    assert_int_equal(guesses_wait(guesses, "new", 5000), 100);
    assert_int_equal(guesses_wait(guesses, "known", 5000), 0);
    assert_int_equal(guesses_wait(guesses, "new", 5100), 0);
    assert_true(guesses_addresses(guesses) <= limits.addresses_max);
    /* Who is at rest makes room. */
    guesses_failed(guesses, "late", 1000000);
    guesses_failed(guesses, "late", 1000000);
    guesses_failed(guesses, "late", 1000000);
    assert_int_equal(guesses_wait(guesses, "late", 1000000), 1000);
    guesses_destroy(&guesses);
}

/* The pages */

static void pages_show_text_as_text(void **unused)
{
    (void)unused;
    AUTOFREE char *fault = login_page_fault("No", "<script>alert(\"1\")</script>&'");
    assert_null(strstr(fault, "<script>alert"));
    assert_non_null(strstr(fault, "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;"));
    AUTOFREE char *google = login_page_form(&(struct login_page){.by_google = true});
    assert_non_null(strstr(google, "/login/google"));
    assert_null(strstr(google, "<form"));
    AUTOFREE char *token = login_page_form(&(struct login_page){.by_token = true, .fault = "<b>"});
    assert_null(strstr(token, "/login/google"));
    assert_null(strstr(token, "<b>"));
    assert_non_null(strstr(token, "aria-invalid"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_is_what_was_sealed),
        cmocka_unit_test(a_ticket_ends),
        cmocka_unit_test(a_ticket_is_of_its_secret),
        cmocka_unit_test(each_byte_of_a_ticket_counts),
        cmocka_unit_test(what_is_sealed_for_something_else_is_no_ticket),
        cmocka_unit_test(a_state_is_bound_by_the_key),
        cmocka_unit_test(cookies),
        cmocka_unit_test(authorizations),
        cmocka_unit_test(origins),
        cmocka_unit_test(admins),
        cmocka_unit_test(an_address_has_its_budget),
        cmocka_unit_test(all_have_one_together),
        cmocka_unit_test(pages_show_text_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
