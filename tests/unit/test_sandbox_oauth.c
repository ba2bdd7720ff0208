/* The sandbox's OAuth: PKCE, sealed tickets, scopes, forms, addresses. */
#include "tests/unit/unit.h"

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/form.h"
#include "services/sandbox/oauth.h"

/* The example of RFC 7636, appendix B. */
static void test_pkce(void **state)
{
    (void)state;
    const char *challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    assert_true(pkce_matches(challenge, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
    assert_false(pkce_matches(challenge, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl"));
    assert_false(pkce_matches(challenge, "short"));
    assert_false(pkce_matches("", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
}

static void test_tickets(void **state)
{
    (void)state;
    uint8_t key[32] = {1}, other[32] = {2};
    AUTOFREE char *text = ticket_seal(key, "code", json_pack("{s:s}", "e", "ada"), 1000);
    AUTOJSON json_t *claims = ticket_open(key, "code", text, 999);
    assert_string_equal(js_str(claims, "e", ""), "ada");
    assert_null(ticket_open(key, "code", text, 1000));
    assert_null(ticket_open(key, "access", text, 999));
    assert_null(ticket_open(other, "code", text, 999));
    assert_null(ticket_open(key, "code", "nonsense", 999));
    text[strlen(text) - 1] ^= 1;
    assert_null(ticket_open(key, "code", text, 999));
}

static void test_clients(void **state)
{
    (void)state;
    struct sandbox_options any = {0}, one = {.client_id = "id", .client_secret = "secret"};
    assert_true(oauth_client_proves(&any, "sandbox-client", "sandbox-secret"));
    assert_false(oauth_client_proves(&any, "sandbox-client", "wrong"));
    assert_true(oauth_client_proves(&any, "whoever", "whatever"));
    assert_false(oauth_client_proves(&any, "whoever", ""));
    assert_true(oauth_client_proves(&one, "id", "secret"));
    assert_false(oauth_client_proves(&one, "id", "secrets"));
    assert_false(oauth_client_proves(&one, "sandbox-client", "sandbox-secret"));
    assert_false(oauth_client_known(&one, NULL));
}

static void test_scopes(void **state)
{
    (void)state;
    uint32_t scopes = 0;
    struct buf out;
    assert_int_equal(
        scopes_parse("email  openid https://www.googleapis.com/auth/gmail.modify", &scopes),
        ERR_OK);
    assert_int_equal(scopes, SCOPE_EMAIL | SCOPE_OPENID | SCOPE_GMAIL_MODIFY);
    assert_int_equal(scopes_parse("email nonsense", &scopes), ERR_INVALID);
    assert_int_equal(scopes_parse("", &scopes), ERR_INVALID);
    buf_init(&out, 1024);
    scopes_write(scopes, &out);
    assert_string_equal(buf_text(&out), "openid https://www.googleapis.com/auth/userinfo.email "
                                        "https://www.googleapis.com/auth/gmail.modify");
    buf_fini(&out);
}

static void test_forms(void **state)
{
    (void)state;
    const char *form = "a=1&b=x+y%26z&a=2&c&=&bad=%00&d=%zz%4";
    size_t len = strlen(form);
    AUTOFREE char *first = form_value(form, len, "a", 0), *second = form_value(form, len, "a", 1);
    AUTOFREE char *b = form_value(form, len, "b", 0), *d = form_value(form, len, "d", 0);
    assert_string_equal(first, "1");
    assert_string_equal(second, "2");
    assert_string_equal(b, "x y&z");
    assert_string_equal(d, "%zz%4");
    assert_null(form_value(form, len, "a", 2));
    assert_null(form_value(form, len, "bad", 0));
    assert_null(form_value("", 0, "a", 0));
}

static void test_addresses(void **state)
{
    (void)state;
    assert_true(url_is_redirectable("http://localhost:8000/auth/callback?x=1"));
    assert_true(url_is_redirectable("https://[::1]:8000/"));
    assert_false(url_is_redirectable("javascript:alert(1)"));
    assert_false(url_is_redirectable("http://"));
    assert_false(url_is_redirectable("http://a/\r\nSet-Cookie: x"));
    assert_false(url_is_redirectable("http://a/#fragment"));
    assert_false(url_is_redirectable("http://a;script-src *"));
    assert_false(url_is_redirectable("http://user@host/"));
}

static void test_escaping(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1024);
    html_escape(&out, "<a href='x' title=\"&\">");
    assert_string_equal(buf_text(&out), "&lt;a href=&#39;x&#39; title=&quot;&amp;&quot;&gt;");
    buf_reset(&out);
    url_encode(&out, "a b/ü~");
    assert_string_equal(buf_text(&out), "a%20b%2F%C3%BC~");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pkce),     cmocka_unit_test(test_tickets),
        cmocka_unit_test(test_clients),  cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_forms),    cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_escaping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
