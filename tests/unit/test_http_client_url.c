#include "tests/unit/unit.h"

#include "libcommon/http_client_url.h"
#include "libcommon/mem.h"

static void a_url_comes_apart(void **state)
{
    (void)state;
    struct http_url url;
    assert_int_equal(http_url_parse("HTTPS://Example.COM:443/a/./b/../c?x=1&y=2#z", &url), ERR_OK);
    assert_true(url.https && url.has_fragment && !url.loopback);
    assert_string_equal(url.origin, "https://example.com");
    assert_string_equal(url.path, "/a/c");
    assert_string_equal(url.query, "x=1&y=2");
    assert_int_equal(http_url_parse("http://[::1]:8000", &url), ERR_OK);
    assert_true(!url.https && url.loopback && !url.has_fragment);
    assert_string_equal(url.origin, "http://[::1]:8000");
    assert_string_equal(url.path, "/");
}

static void what_is_no_plain_url_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "example.com",
                                      "/path",
                                      "ftp://example.com/",
                                      "file:///etc/passwd",
                                      "https://user:secret@example.com/",
                                      "https://example.com/a b",
                                      "https://example.com/\r\nX: y",
                                      "https://example.com/\x7f",
                                      "https:///path",
                                      "https://exa mple.com",
                                      "javascript:alert(1)"};
    struct http_url url;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(http_url_parse(bad[i], &url), ERR_INVALID);
    char *longer = mem_alloc(HTTP_URL_MAX + 1);
    memset(longer, 'a', HTTP_URL_MAX);
    memcpy(longer, "https://a/", 10);
    assert_int_equal(http_url_parse(longer, &url), ERR_INVALID);
    longer[HTTP_URL_MAX - 1] = '\0';
    assert_int_equal(http_url_parse(longer, &url), ERR_OK);
    free(longer);
}

static void loopback_is_told_from_names_like_it(void **state)
{
    (void)state;
    static const char *const yes[] = {"http://localhost", "http://LOCALHOST:1", "http://127.0.0.1",
                                      "http://127.9.9.9/x", "http://[::1]/"};
    static const char *const no[] = {"http://localhost.example.com", "http://127.0.0.1.example.com",
                                     "http://1.2.3.4", "http://[::2]",
                                     "http://example.com/localhost"};
    struct http_url url;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(http_url_parse(yes[i], &url), ERR_OK);
        assert_true(url.loopback);
        assert_int_equal(http_url_parse(no[i], &url), ERR_OK);
        assert_false(url.loopback);
    }
}

static void internal_addresses_are_known(void **state)
{
    (void)state;
    static const char *const internal[] = {"127.0.0.1",
                                           "10.1.2.3",
                                           "172.16.0.1",
                                           "172.31.255.255",
                                           "192.168.1.1",
                                           "0.0.0.0",
                                           "100.64.0.1",
                                           "169.254.169.254",
                                           "198.18.0.1",
                                           "224.0.0.1",
                                           "255.255.255.255",
                                           "::1",
                                           "::",
                                           "fe80::1",
                                           "fc00::1",
                                           "ff02::1",
                                           "::ffff:10.0.0.1",
                                           "::ffff:127.0.0.1",
                                           "64:ff9b::a00:1",
                                           "2002:a00:1::",
                                           "2001:0:7f00:1::80ff:fffe",
                                           "2001:1ff:ffff::1",
                                           "2001:db8::1",
                                           "::127.0.0.1",
                                           "localhost",
                                           ""};
    static const char *const global[] = {
        "1.1.1.1",        "8.8.8.8",          "172.32.0.1",      "172.15.255.255",
        "192.167.1.1",    "100.128.0.1",      "2606:4700::1111", "2001:4860:4860::8888",
        "::ffff:8.8.8.8", "64:ff9b::808:808", "223.255.255.255"};
    for (size_t i = 0; i < sizeof internal / sizeof *internal; i++)
        assert_true(http_host_is_internal(internal[i]));
    for (size_t i = 0; i < sizeof global / sizeof *global; i++)
        assert_false(http_host_is_internal(global[i]));
}

static void assert_value(const char *query, const char *name, const char *value)
{
    AUTOFREE char *found = http_query_value(query, name);
    if (value)
        assert_string_equal(found, value);
    else
        assert_null(found);
}

static void query_values_are_decoded_once(void **state)
{
    (void)state;
    assert_value("code=a%20b+c%2B&state=x", "code", "a b c+");
    assert_value("code=a&state=x", "state", "x");
    assert_value("code=a&xstate=x", "state", NULL);
    assert_value("state=a&state=b", "state", NULL);
    assert_value("code=", "code", "");
    assert_value("code=%2", "code", "%2");
    assert_value("code=%zz%25", "code", "%zz%");
    assert_value("", "code", NULL);
}

static void goes_past_the_proxy(void **state)
{
    (void)state;
    static const struct {
        const char *host, *no_proxy;
        bool past;
    } cases[] = {
        {"localhost", NULL, true},
        {"127.0.0.9", "", true},
        {"[::1]", NULL, true},
        {"a.example", NULL, false},
        {"a.example", "*", true},
        {"a.example", "b.example, a.example", true},
        {"A.example.", "a.EXAMPLE", true},
        {"deep.a.example", "a.example", true},
        {"deep.a.example", ".a.example", true},
        {"a.example", ".a.example", true},
        {"ba.example", "a.example", false},
        {"example", "a.example", false},
        {"a.example", ",, ,", false},
        {"a.example", ".", false},
        {"10.1.2.3", "10.0.0.0/8", true},
        {"11.1.2.3", "10.0.0.0/8", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "2.3", false},
        {"10.1.2.3", "0.0.0.0/0", true},
        {"10.1.2.3", "10.0.0.0/x 10.0.0.0/33 10.0.0.0/-1", false},
        {"[2001:db8::7]", "2001:db8::/32", true},
        {"[2001:db9::7]", "2001:db8::/32", false},
        {"[2001:db8::7]", "2001:DB8:0::7", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (http_bypasses_proxy(cases[i].host, cases[i].no_proxy) != cases[i].past)
            fail_msg("%s, %s", cases[i].host, cases[i].no_proxy);
}

static void internal_by_its_text(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool internal;
    } cases[] = {
        {"https://localhost/", true},       {"https://LOCALHOST./", true},
        {"https://x.localhost/", true},     {"https://notlocalhost/", false},
        {"https://127.1/", true},           {"https://0x7f000001/", true},
        {"https://[::1]/", true},           {"https://[::ffff:10.0.0.1]/", true},
        {"https://10.0.0.1/", true},        {"https://8.8.8.8/", false},
        {"https://[2606:4700::1]/", false}, {"https://a.example/", false},
        {"https://169.254.169.254/", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_url url;
        assert_int_equal(http_url_parse(cases[i].url, &url), ERR_OK);
        if (http_url_is_internal(&url) != cases[i].internal)
            fail_msg("%s", cases[i].url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_past_the_proxy),
        cmocka_unit_test(internal_by_its_text),
        cmocka_unit_test(a_url_comes_apart),
        cmocka_unit_test(what_is_no_plain_url_is_refused),
        cmocka_unit_test(loopback_is_told_from_names_like_it),
        cmocka_unit_test(internal_addresses_are_known),
        cmocka_unit_test(query_values_are_decoded_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
