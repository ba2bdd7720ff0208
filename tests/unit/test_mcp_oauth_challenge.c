#include "tests/unit/unit.h"

#include "libcommon/mem.h"
#include "libmcp/mcp_oauth_challenge.h"

static void assert_text(const char *text, const char *expected)
{
    if (expected)
        assert_string_equal(text, expected);
    else
        assert_null(text);
}

static void assert_challenge(const char *field, bool dpop, const char *metadata, const char *scope,
                             const char *error)
{
    struct mcp_challenge challenge = {0};
    assert_int_equal(mcp_challenge_parse(field, &challenge), ERR_OK);
    assert_true(challenge.dpop == dpop);
    assert_text(challenge.resource_metadata, metadata);
    assert_text(challenge.scope, scope);
    assert_text(challenge.error, error);
    mcp_challenge_fini(&challenge);
}

static void parameters_are_read(void **state)
{
    (void)state;
    assert_challenge("Bearer", false, NULL, NULL, NULL);
    assert_challenge("bearer scope=\"a b\", error=insufficient_scope", false, NULL, "a b",
                     "insufficient_scope");
    assert_challenge("Bearer resource_metadata = \"https://x/y\" , realm=\"a, b=\\\"c\\\"\", "
                     "SCOPE=\"s:1\"",
                     false, "https://x/y", "s:1", NULL);
    assert_challenge("DPoP error=\"use_dpop_nonce\", algs=\"ES256 RS256\"", true, NULL, NULL,
                     "use_dpop_nonce");
    assert_challenge("Bearer scope=\"a\", scope=\"b\"", false, NULL, "a", NULL);
    assert_challenge("Bearer ,, scope=\"a\\\\b\", error=e", false, NULL, NULL, "e");
}

static void other_schemes_are_passed_over(void **state)
{
    (void)state;
    assert_challenge("Basic realm=\"x\", Bearer scope=\"a\"", false, NULL, "a", NULL);
    assert_challenge("Negotiate YII+/w==, Bearer scope=\"a\"", false, NULL, "a", NULL);
    assert_challenge("Negotiate, DPoP scope=\"a\", Bearer scope=\"b\"", true, NULL, "a", NULL);
    assert_challenge("Basic realm=\"Bearer scope=\\\"no\\\"\", Bearer error=yes", false, NULL, NULL,
                     "yes");
    assert_challenge("Bearer scope=\"a\", Basic realm=\"x\", scope=\"b\"", false, NULL, "a", NULL);
}

static void nonsense_is_no_challenge(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",         " , ",         "Basic realm=\"x\"", "=",         "\"Bearer\"", "Bearer=x",
        "Bearer;x", "Basic a b c", "\x80 Bearer",       "Basic \"x", "Bearerx",    "(Bearer)"};
    struct mcp_challenge challenge = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(mcp_challenge_parse(bad[i], &challenge), ERR_NOT_FOUND);
    char *longer = mem_alloc(MCP_CHALLENGE_MAX + 2);
    memset(longer, 'x', MCP_CHALLENGE_MAX + 1);
    memcpy(longer, "Bearer ", 7);
    assert_int_equal(mcp_challenge_parse(longer, &challenge), ERR_TOO_LARGE);
    free(longer);
    /* A quote that never ends hides what is behind it. */
    assert_challenge("Bearer scope=\"a, error=\"e", false, NULL, "a, error=", NULL);
    assert_challenge("Bearer error=e, scope=\"a", false, NULL, NULL, "e");
}

static void scopes_are_sets(void **state)
{
    (void)state;
    AUTOFREE char *all = mcp_scope_union("a b", "b c a");
    assert_string_equal(all, "a b c");
    AUTOFREE char *one = mcp_scope_union(NULL, "x x");
    assert_string_equal(one, "x");
    assert_null(mcp_scope_union(NULL, NULL));
    assert_null(mcp_scope_union("", " "));
    assert_true(mcp_scope_covers("a b", "b"));
    assert_true(mcp_scope_covers("a b", NULL));
    assert_true(mcp_scope_covers(NULL, NULL));
    assert_false(mcp_scope_covers("ab", "a"));
    assert_false(mcp_scope_covers("a", "a b"));
    assert_false(mcp_scope_covers(NULL, "a"));
    assert_true(mcp_scope_is_valid("mcp:read https://x/y"));
    static const char *const bad[] = {"", " a", "a ", "a  b", "a\"", "a\\", "a\tb", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(mcp_scope_is_valid(bad[i]));
}

/* A union that would not fit keeps the scopes that there were. */
static void a_set_has_an_end(void **state)
{
    (void)state;
    char *longer = mem_alloc(9001);
    for (size_t i = 0; i < 9000; i += 6)
        snprintf(longer + i, 9001 - i, "%05u ", (unsigned)i);
    AUTOFREE char *all = mcp_scope_union("kept", longer);
    assert_string_equal(all, "kept");
    assert_false(mcp_scope_is_valid(longer));
    free(longer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_read),      cmocka_unit_test(other_schemes_are_passed_over),
        cmocka_unit_test(nonsense_is_no_challenge), cmocka_unit_test(scopes_are_sets),
        cmocka_unit_test(a_set_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
