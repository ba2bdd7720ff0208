#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/jwt.h"
#include "services/auth/tokens.h"

static const char secret[] = "the secret of all services";
enum { NOW = 1700000000 };

static void make_keys(struct token_keys *keys, const char *key, const char *jwt_secret)
{
    token_keys_init(keys, &(struct token_secrets){.encryption_key = key, .jwt_secret = jwt_secret});
}

static void grants_are_sealed_for_their_user(void **state)
{
    (void)state;
    struct token_keys keys;
    make_keys(&keys, NULL, secret);
    assert_int_equal(keys.count, 1);
    struct grant grant = {.access_token = (char *)"ya29.access",
                          .refresh_token = (char *)"1//refresh",
                          .expires_at_ms = NOW * INT64_C(1000)};
    AUTOFREE char *text = grant_seal(&keys, "u1", &grant);
    assert_null(strstr(text, "ya29"));
    assert_null(strstr(text, "1//"));
    struct grant read = {.sealed = false};
    assert_int_equal(grant_open(&keys, "u1", text, &read), ERR_OK);
    assert_true(read.sealed);
    assert_string_equal(read.access_token, "ya29.access");
    assert_string_equal(read.refresh_token, "1//refresh");
    assert_int_equal(read.expires_at_ms, grant.expires_at_ms);
    grant_fini(&read);
    assert_int_equal(grant_open(&keys, "u2", text, &read), ERR_INVALID);
    assert_null(read.access_token);
}

static void sealed_fields_cannot_change_places(void **state)
{
    (void)state;
    struct token_keys keys;
    make_keys(&keys, NULL, secret);
    struct grant grant = {.access_token = (char *)"ya29.a", .refresh_token = (char *)"1//r"}, read;
    AUTOFREE char *text = grant_seal(&keys, "u1", &grant);
    AUTOJSON json_t *data = json_loads(text, 0, NULL);
    AUTOJSON json_t *swapped =
        json_pack("{s:O, s:O}", "access_token", json_object_get(data, "refresh_token"),
                  "refresh_token", json_object_get(data, "access_token"));
    AUTOFREE char *bad = js_dump(swapped);
    assert_int_equal(grant_open(&keys, "u1", bad, &read), ERR_INVALID);
}

static void a_new_key_still_reads_the_old(void **state)
{
    (void)state;
    struct token_keys before, after, other;
    make_keys(&before, NULL, secret);
    make_keys(&after, "a key of its own", secret);
    make_keys(&other, "a key of its own", "another secret");
    struct grant grant = {.access_token = (char *)"ya29.a"}, read;
    AUTOFREE char *text = grant_seal(&before, "u1", &grant);
    assert_int_equal(grant_open(&after, "u1", text, &read), ERR_OK);
    assert_null(read.refresh_token);
    grant_fini(&read);
    assert_int_equal(grant_open(&other, "u1", text, &read), ERR_INVALID);
    AUTOFREE char *renewed = grant_seal(&after, "u1", &grant);
    assert_int_equal(grant_open(&other, "u1", renewed, &read), ERR_OK);
    grant_fini(&read);
    assert_int_equal(grant_open(&before, "u1", renewed, &read), ERR_INVALID);
}

/* TOKEN_ENCRYPTION_KEY and JWT_SECRET rolled: whatever sealed before still opens, and in the step
 * before, what the next will seal. */
static void keys_are_rolled(void **state)
{
    (void)state;
    static const struct token_secrets steps[][2] = {
        {{"the first key itself", NULL, secret, NULL},
         {"the first key itself", "the second key itself", secret, "the next secret of all"}},
        {{"the first key itself", "the second key itself", secret, "the next secret of all"},
         {"the second key itself", "the first key itself", "the next secret of all", secret}},
        {{"the second key itself", "the first key itself", "the next secret of all", secret},
         {"the second key itself", NULL, "the next secret of all", NULL}},
        {{NULL, NULL, secret, "the next secret of all"},
         {NULL, NULL, "the next secret of all", secret}},
    };
    struct grant grant = {.access_token = (char *)"ya29.a"}, read;
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        struct token_keys one, other;
        token_keys_init(&one, &steps[i][0]);
        token_keys_init(&other, &steps[i][1]);
        AUTOFREE char *before = grant_seal(&one, "u", &grant),
                      *after = grant_seal(&other, "u", &grant);
        assert_int_equal(grant_open(&other, "u", before, &read), ERR_OK);
        grant_fini(&read);
        assert_int_equal(grant_open(&one, "u", after, &read), ERR_OK);
        grant_fini(&read);
    }
    struct token_keys own, none;
    token_keys_init(&own, &(struct token_secrets){.encryption_key = "the first key itself",
                                                  .jwt_secret = secret});
    token_keys_init(&none,
                    &(struct token_secrets){.encryption_key_previous = "the first key itself",
                                            .jwt_secret = secret});
    assert_string_equal(none.names[0], "JWT_SECRET");
    AUTOFREE char *text = grant_seal(&own, "u", &grant);
    assert_int_equal(grant_open(&none, "u", text, &read), ERR_OK);
    grant_fini(&read);
}

static void the_originals_forms_are_read(void **state)
{
    (void)state;
    struct token_keys keys;
    make_keys(&keys, NULL, secret);
    static const struct {
        const char *text;
        int64_t expires_at_ms;
    } forms[] = {
        {"{\"access_token\":\"A\",\"refresh_token\":\"R\",\"expires_at\":1700000000}",
         1700000000000},
        {"{\"access_token\":\"A\",\"refresh_token\":\"R\",\"expires_at\":1700000000.5}",
         1700000000500},
        {"{\"access_token\":\"A\",\"refresh_token\":\"R\",\"expiry_date\":1700000000000}",
         1700000000000},
        {"{\"token\":\"A\",\"refresh_token\":\"R\",\"expiry\":\"2023-11-14T22:13:20Z\"}",
         1700000000000},
        {"{\"access_token\":\"A\",\"refresh_token\":\"R\",\"expires_in\":3599}", 0},
        {"\"{\\\"access_token\\\":\\\"A\\\",\\\"refresh_token\\\":\\\"R\\\"}\"", 0},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        struct grant grant;
        assert_int_equal(grant_open(&keys, "u1", forms[i].text, &grant), ERR_OK);
        assert_false(grant.sealed);
        assert_string_equal(grant.access_token, "A");
        assert_string_equal(grant.refresh_token, "R");
        assert_int_equal(grant.expires_at_ms, forms[i].expires_at_ms);
        grant_fini(&grant);
    }
}

static void nonsense_is_no_grant(void **state)
{
    (void)state;
    struct token_keys keys;
    make_keys(&keys, NULL, secret);
    static const char *const texts[] = {
        "",
        "{}",
        "null",
        "[]",
        "{\"access_token\":7}",
        "{\"access_token\":\"v1.x\"}",
        "\"{\"",
        "{\"access_token\":\"v1.00000000.AAAA\",\"refresh_token\":\"plain\"}"};
    struct grant grant;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        assert_int_equal(grant_open(&keys, "u1", texts[i], &grant), ERR_INVALID);
    assert_int_equal(grant_open(&keys, "u1", NULL, &grant), ERR_INVALID);
}

static void issued_tokens_verify(void **state)
{
    (void)state;
    AUTOJSON json_t *profile = json_pack("{s:s, s:s, s:s, s:s}", "sub", "1", "email", "a@b.example",
                                         "name", "Ann", "picture", "https://p.example/a.png");
    AUTOJSON json_t *user = tokens_user("u1", profile);
    AUTOFREE char *token = NULL;
    assert_int_equal(tokens_issue(secret, user, 7, NOW, &token), ERR_OK);
    AUTOJSON json_t *claims = NULL;
    assert_int_equal(jwt_door_verify(secret, token, strlen(token), NOW, &claims), ERR_OK);
    AUTOJSON json_t *want =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:s}", "id", "u1", "email", "a@b.example",
                  "name", "Ann", "picture", "https://p.example/a.png", "exp", NOW + 86400, "iat",
                  NOW, "gen", 7, "iss", "mcpbus");
    assert_true(json_equal(claims, want));
    json_t *late;
    assert_int_equal(jwt_door_verify(secret, token, strlen(token), NOW + 86400, &late),
                     ERR_UNAUTHENTICATED);
}

static void a_huge_profile_still_makes_a_token(void **state)
{
    (void)state;
    AUTOFREE char *huge = mem_alloc(5001), *id = mem_alloc(257);
    memset(huge, 1, 5000); /* each becomes \u0001 */
    memset(id, 'i', 256);
    AUTOJSON json_t *profile =
        json_pack("{s:s, s:s, s:s}", "email", huge, "name", huge, "picture", huge);
    AUTOJSON json_t *user = tokens_user(id, profile);
    assert_string_equal(js_str(user, "picture", NULL), "");
    AUTOFREE char *token = NULL;
    assert_int_equal(tokens_issue(secret, user, 0, NOW, &token), ERR_OK);
    AUTOJSON json_t *none = tokens_user("u1", NULL);
    assert_string_equal(js_str(none, "email", NULL), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants_are_sealed_for_their_user),
        cmocka_unit_test(sealed_fields_cannot_change_places),
        cmocka_unit_test(a_new_key_still_reads_the_old),
        cmocka_unit_test(keys_are_rolled),
        cmocka_unit_test(the_originals_forms_are_read),
        cmocka_unit_test(nonsense_is_no_grant),
        cmocka_unit_test(issued_tokens_verify),
        cmocka_unit_test(a_huge_profile_still_makes_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
