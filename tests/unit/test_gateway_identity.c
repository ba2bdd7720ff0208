#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/jwt.h"
#include "services/gateway/identity.h"

static const char secret[] = "a secret of the test's own, long enough";
enum { NOW = 1700000000 };

static char *token_of(const char *key, const char *id, int64_t exp, int64_t nbf)
{
    char *token = NULL;
    json_t *claims = json_pack("{s:s, s:I, s:I, s:i}", "id", id, "exp", (json_int_t)exp, "nbf",
                               (json_int_t)nbf, "gen", 3);
    assert_int_equal(jwt_door_sign(key, claims, &token), ERR_OK);
    json_decref(claims);
    return token;
}

static void test_one_proof_for_many_requests(void **state)
{
    (void)state;
    struct identities *identities = identities_new(secret, NULL);
    struct identity *first = NULL, *second = NULL;
    char *token = token_of(secret, "alice", NOW + 60, NOW - 60);
    assert_int_equal(identities_find(identities, token, NOW, &first), ERR_OK);
    assert_string_equal(first->user_id, "alice");
    assert_int_equal(first->generation, 3);
    assert_int_equal(first->expires_at, NOW + 60);
    assert_int_equal(identities_find(identities, token, NOW + 1, &second), ERR_OK);
    assert_ptr_equal(first, second);
    identity_release(second);
    identities_destroy(&identities);
    assert_string_equal(first->user_id, "alice"); /* a request's own hold outlives the table */
    identity_release(first);
    free(token);
}

static void test_time_is_judged_each_time(void **state)
{
    (void)state;
    struct identities *identities = identities_new(secret, NULL);
    struct identity *identity = NULL;
    char *token = token_of(secret, "alice", NOW + 60, NOW - 60);
    assert_int_equal(identities_find(identities, token, NOW, &identity), ERR_OK);
    identity_release(identity);
    assert_int_equal(identities_find(identities, token, NOW + 60, &identity), ERR_UNAUTHENTICATED);
    assert_int_equal(identities_find(identities, token, NOW, &identity), ERR_OK);
    identity_release(identity);
    assert_int_equal(identities_find(identities, token, NOW - 61, &identity), ERR_UNAUTHENTICATED);
    free(token);
    identities_destroy(&identities);
}

/* Each byte of a remembered token counts, and what failed is not remembered. */
static void test_a_changed_token_is_another(void **state)
{
    (void)state;
    struct identities *identities = identities_new(secret, NULL);
    struct identity *identity = NULL;
    char *token = token_of(secret, "alice", NOW + 60, NOW - 60);
    size_t len = strlen(token);
    assert_int_equal(identities_find(identities, token, NOW, &identity), ERR_OK);
    identity_release(identity);
    for (size_t i = 0; i < len; i++) {
        char was = token[i];
        token[i] = was == 'x' ? 'y' : 'x';
        /* The last digit of the 32 bytes' base64url has two bits that say nothing. */
        if (i < len - 1)
            assert_int_equal(identities_find(identities, token, NOW, &identity),
                             ERR_UNAUTHENTICATED);
        token[i] = was;
    }
    token[len - 1] = '\0';
    assert_int_equal(identities_find(identities, token, NOW, &identity), ERR_UNAUTHENTICATED);
    assert_int_equal(identities_find(identities, "", NOW, &identity), ERR_UNAUTHENTICATED);
    free(token);
    token = token_of("another secret, of someone else's", "alice", NOW + 60, NOW - 60);
    for (int i = 0; i < 3; i++)
        assert_int_equal(identities_find(identities, token, NOW, &identity), ERR_UNAUTHENTICATED);
    free(token);
    identities_destroy(&identities);
}

/* Far more than there is room for: all stay right, and none leaks (the sanitizer's build). */
static void test_bounded(void **state)
{
    (void)state;
    struct identities *identities = identities_new(secret, NULL);
    char *kept = token_of(secret, "kept", NOW + 60, NOW - 60);
    struct identity *identity = NULL, *held = NULL;
    assert_int_equal(identities_find(identities, kept, NOW, &held), ERR_OK);
    for (int i = 0; i < 3 * IDENTITY_SLOTS; i++) {
        char id[32];
        snprintf(id, sizeof(id), "user-%d", i);
        char *token = token_of(secret, id, NOW + 60, NOW - 60);
        assert_int_equal(identities_find(identities, token, NOW, &identity), ERR_OK);
        assert_string_equal(identity->user_id, id);
        identity_release(identity);
        free(token);
    }
    assert_string_equal(held->user_id, "kept");
    identity_release(held);
    free(kept);
    identities_destroy(&identities);
}

static void test_long_tokens(void **state)
{
    (void)state;
    struct identities *identities = identities_new(secret, NULL);
    struct identity *identity = NULL;
    char name[IDENTITY_TOKEN_MAX + 1], *token = NULL;
    memset(name, 'n', sizeof(name));
    name[IDENTITY_TOKEN_MAX] = '\0';
    json_t *claims =
        json_pack("{s:s, s:I, s:s}", "id", "long", "exp", (json_int_t)NOW + 60, "name", name);
    assert_int_equal(jwt_door_sign(secret, claims, &token), ERR_OK);
    json_decref(claims);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(identities_find(identities, token, NOW, &identity), ERR_OK);
        assert_string_equal(identity->user_id, "long");
        identity_release(identity);
    }
    assert_int_equal(identities_find(identities, token, NOW + 60, &identity), ERR_UNAUTHENTICATED);
    free(token);
    identities_destroy(&identities);
}

/* A secret that is on its way in or out is as good, and a third is not. */
static void test_two_secrets_at_once(void **state)
{
    (void)state;
    static const char next[] = "the next secret of the test, as long",
                      other[] = "yet another secret";
    struct identities *identities = identities_new(secret, next);
    struct identity *identity = NULL;
    char *tokens[] = {token_of(secret, "alice", NOW + 60, 0), token_of(next, "bob", NOW + 60, 0),
                      token_of(other, "mallory", NOW + 60, 0)};
    for (int again = 0; again < 2; again++) {
        assert_int_equal(identities_find(identities, tokens[0], NOW, &identity), ERR_OK);
        assert_string_equal(identity->user_id, "alice");
        identity_release(identity);
        assert_int_equal(identities_find(identities, tokens[1], NOW, &identity), ERR_OK);
        assert_string_equal(identity->user_id, "bob");
        identity_release(identity);
        assert_int_equal(identities_find(identities, tokens[2], NOW, &identity),
                         ERR_UNAUTHENTICATED);
        assert_int_equal(identities_find(identities, tokens[1], NOW + 60, &identity),
                         ERR_UNAUTHENTICATED);
    }
    for (size_t i = 0; i < 3; i++)
        free(tokens[i]);
    identities_destroy(&identities);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_proof_for_many_requests),
        cmocka_unit_test(test_time_is_judged_each_time),
        cmocka_unit_test(test_a_changed_token_is_another),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_long_tokens),
        cmocka_unit_test(test_two_secrets_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
