#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_oauth_metadata.h"

static void assert_urls(int (*make)(const char *, char **), const char *from,
                        const char *const *expected)
{
    char *urls[MCP_OAUTH_URLS] = {0};
    int count = make(from, urls), i = 0;
    for (; expected[i]; i++) {
        assert_true(i < count);
        assert_string_equal(urls[i], expected[i]);
        free(urls[i]);
    }
    assert_int_equal(count, i);
}

static void documents_lie_where_the_rfcs_say(void **state)
{
    (void)state;
#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})
    assert_urls(mcp_oauth_resource_urls, "https://a.example/mcp/x/?q=1",
                TEXTS("https://a.example/.well-known/oauth-protected-resource/mcp/x",
                      "https://a.example/.well-known/oauth-protected-resource"));
    assert_urls(mcp_oauth_resource_urls, "https://a.example:8443",
                TEXTS("https://a.example:8443/.well-known/oauth-protected-resource"));
    assert_urls(mcp_oauth_issuer_urls, "https://a.example/tenant/",
                TEXTS("https://a.example/.well-known/oauth-authorization-server/tenant",
                      "https://a.example/.well-known/openid-configuration/tenant",
                      "https://a.example/tenant/.well-known/openid-configuration"));
    assert_urls(mcp_oauth_issuer_urls, "https://a.example/",
                TEXTS("https://a.example/.well-known/oauth-authorization-server",
                      "https://a.example/.well-known/openid-configuration"));
    char *none[MCP_OAUTH_URLS] = {0};
    assert_int_equal(mcp_oauth_resource_urls("no url", none), 0);
    assert_int_equal(mcp_oauth_issuer_urls("file:///etc", none), 0);
}

static void plain_http_stays_on_loopback(void **state)
{
    (void)state;
    const char *far = "https://a.example/mcp", *near = "http://127.0.0.1:8000/mcp";
    assert_true(mcp_oauth_url_is_safe(far, "https://b.example/"));
    assert_false(mcp_oauth_url_is_safe(far, "http://b.example/"));
    assert_false(mcp_oauth_url_is_safe(far, "http://127.0.0.1/"));
    assert_false(mcp_oauth_url_is_safe(far, "https://localhost/"));
    assert_false(mcp_oauth_url_is_safe(far, "https://b.example/#x"));
    assert_false(mcp_oauth_url_is_safe(far, "https://user@b.example/"));
    assert_true(mcp_oauth_url_is_safe(near, "http://localhost:1/x"));
    assert_true(mcp_oauth_url_is_safe(near, "https://b.example/"));
    assert_false(mcp_oauth_url_is_safe(near, "http://b.example/"));
    assert_true(mcp_oauth_same_origin("https://A.example:443/x", "https://a.example/y"));
    assert_false(mcp_oauth_same_origin("https://a.example", "http://a.example"));
    assert_false(mcp_oauth_same_origin("https://a.example", "https://a.example.evil"));
}

static enum err resource(const char *name, const char *server_url)
{
    char why[MCP_OAUTH_WHY_SIZE] = "";
    AUTOJSON json_t *document = NULL;
    AUTOFREE char *text =
        mem_printf("{\"resource\": \"%s\", \"authorization_servers\": [\"https://as\"]}", name);
    enum err err = mcp_oauth_read_resource(text, strlen(text), server_url, &document, why);
    assert_true(!document == (err != ERR_OK));
    assert_true(!*why == (err == ERR_OK));
    return err;
}

static void a_resource_is_the_server_or_above_it(void **state)
{
    (void)state;
    const char *server = "https://a.example/team/mcp";
    static const char *const good[] = {"https://a.example/team/mcp", "https://a.example/team/mcp/",
                                       "https://a.example/team", "https://a.example/",
                                       "https://A.example"};
    static const char *const bad[] = {"",
                                      "https://evil.example/team/mcp",
                                      "http://a.example/team/mcp",
                                      "https://a.example:8443/team/mcp",
                                      "https://a.example/te",
                                      "https://a.example/team/mcp/more",
                                      "https://a.example/team/mcp#x",
                                      "https://a.example/team/mcp?x=1",
                                      "https://a.example/other/../../x",
                                      "https://a.example@evil.example/team/mcp"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(resource(good[i], server), ERR_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(resource(bad[i], server), ERR_INVALID);
}

static void assert_bad_resource(const char *text)
{
    char why[MCP_OAUTH_WHY_SIZE];
    json_t *document = NULL;
    assert_int_equal(
        mcp_oauth_read_resource(text, strlen(text), "https://a.example/", &document, why),
        ERR_INVALID);
    assert_null(document);
}

static void broken_documents_are_refused(void **state)
{
    (void)state;
    assert_bad_resource("");
    assert_bad_resource("[]");
    assert_bad_resource("<html>");
    assert_bad_resource("{\"resource\": \"https://a.example/\"}");
    assert_bad_resource("{\"resource\": \"https://a.example/\", \"authorization_servers\": []}");
    assert_bad_resource("{\"resource\": \"https://a.example/\", \"authorization_servers\": [1]}");
    assert_bad_resource("{\"resource\": \"https://a.example/\", \"authorization_servers\": "
                        "[\"https://as\"], \"scopes_supported\": {}}");
}

static enum err issuer(const char *extra)
{
    char why[MCP_OAUTH_WHY_SIZE] = "";
    AUTOJSON json_t *document = NULL;
    AUTOFREE char *text = mem_printf("{\"issuer\": \"https://as.example/t\"%s}", extra);
    enum err err = mcp_oauth_read_issuer(text, strlen(text), "https://as.example/t",
                                         "https://a.example/", &document, why);
    assert_true(!document == (err != ERR_OK));
    return err;
}

static void issuers_are_checked(void **state)
{
    (void)state;
    const char *token = ", \"token_endpoint\": \"https://t.example/\"";
    char why[MCP_OAUTH_WHY_SIZE];
    json_t *document = NULL;
    const char *other = "{\"issuer\": \"https://as.example/t/\", "
                        "\"token_endpoint\": \"https://t.example/\"}";
    assert_int_equal(issuer(token), ERR_OK);
    assert_int_equal(issuer(""), ERR_INVALID);
    assert_int_equal(issuer(", \"token_endpoint\": \"http://t.example/\""), ERR_INVALID);
    assert_int_equal(issuer(", \"token_endpoint\": \"https://127.0.0.1/\""), ERR_INVALID);
    assert_int_equal(issuer(", \"token_endpoint\": 1"), ERR_INVALID);
    AUTOFREE char *methods = mem_printf("%s, \"token_endpoint_auth_methods_supported\": 1", token);
    assert_int_equal(issuer(methods), ERR_INVALID);
    AUTOFREE char *authorize =
        mem_printf("%s, \"authorization_endpoint\": \"javascript:x\"", token);
    assert_int_equal(issuer(authorize), ERR_INVALID);
    /* Not so much as a slash may differ. */
    assert_int_equal(mcp_oauth_read_issuer(other, strlen(other), "https://as.example/t",
                                           "https://a.example/", &document, why),
                     ERR_INVALID);
}

static void lists_are_looked_through(void **state)
{
    (void)state;
    AUTOJSON json_t *document =
        json_pack("{s:[s, s, s, i], s:s}", "l", "a", "b c", "d", 1, "t", "a");
    assert_true(mcp_oauth_lists(document, "l", "d"));
    assert_false(mcp_oauth_lists(document, "l", "x"));
    assert_false(mcp_oauth_lists(document, "t", "a"));
    assert_false(mcp_oauth_lists(document, "none", "a"));
    AUTOFREE char *scopes = mcp_oauth_scopes(document, "l");
    assert_string_equal(scopes, "a d");
    assert_null(mcp_oauth_scopes(document, "t"));
    AUTOJSON json_t *old = mcp_oauth_default_issuer("https://a.example/x/y");
    assert_string_equal(js_str(old, "token_endpoint", ""), "https://a.example/token");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_lie_where_the_rfcs_say),
        cmocka_unit_test(plain_http_stays_on_loopback),
        cmocka_unit_test(a_resource_is_the_server_or_above_it),
        cmocka_unit_test(broken_documents_are_refused),
        cmocka_unit_test(issuers_are_checked),
        cmocka_unit_test(lists_are_looked_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
