#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/jwt.h"
#include "libcommon/mem.h"

static const char secret[] = "the secret of all services";
enum { NOW = 1700000000 };

/* A token with any header and payload, signed with `key` by HS256 whatever the header says. */
static char *forge(const char *header, const char *payload, const char *key)
{
    AUTOFREE char *h = crypto_base64url_encode(header, strlen(header));
    AUTOFREE char *p = crypto_base64url_encode(payload, strlen(payload));
    AUTOFREE char *signed_part = mem_printf("%s.%s", h, p);
    uint8_t mac[CRYPTO_SHA256_BYTES];
    crypto_hmac_sha256(key, strlen(key), signed_part, strlen(signed_part), mac);
    AUTOFREE char *m = crypto_base64url_encode(mac, sizeof(mac));
    return mem_printf("%s.%s", signed_part, m);
}

static enum err verify(const char *token)
{
    json_t *claims = NULL;
    enum err err = jwt_door_verify(secret, token, strlen(token), NOW, &claims);
    assert_true((err == ERR_OK) == (claims != NULL));
    json_decref(claims);
    return err;
}

static const char hs256[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
static const char original[] = "{\"id\":\"u1\",\"email\":\"a@example.org\",\"name\":\"A\","
                               "\"picture\":\"\",\"exp\":1700000100}";

static enum err verify_forged(const char *header, const char *payload, const char *key)
{
    AUTOFREE char *token = forge(header, payload, key);
    return verify(token);
}

static void signs_and_verifies(void **state)
{
    (void)state;
    AUTOJSON json_t *claims =
        json_pack("{s:s, s:s, s:I, s:i, s:s, s:s}", "id", "u1", "email", "ä@example.org", "exp",
                  (json_int_t)NOW + 60, "gen", 7, "iss", "mcpbus", "aud", "mcpbus");
    AUTOFREE char *token = NULL;
    assert_int_equal(jwt_door_sign(secret, claims, &token), ERR_OK);
    AUTOJSON json_t *read = NULL;
    assert_int_equal(jwt_door_verify(secret, token, strlen(token), NOW, &read), ERR_OK);
    assert_true(json_equal(claims, read));
}

static void takes_the_originals_form(void **state)
{
    (void)state;
    assert_int_equal(verify_forged(hs256, original, secret), ERR_OK);
    assert_int_equal(verify_forged("{\"typ\":\"JWT\",\"alg\":\"HS256\"}", original, secret),
                     ERR_OK);
    assert_int_equal(verify_forged("{\"alg\":\"HS256\"}", original, secret), ERR_OK);
}

static void takes_a_token_made_elsewhere(void **state)
{
    (void)state;
    /* by PyJWT 2.6, with the original's claims */
    assert_int_equal(
        verify(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpZCI6InUxIiwiZW1haWwiOiJhQGV4YW1wbGUub3JnIiwi"
            "bmFtZSI6IkEiLCJwaWN0dXJlIjoiIiwiZXhwIjo0MTAyNDQ0ODAwfQ._d932lfpjgxSjwoOFWdq2_8UVjbwyz"
            "fExJ2doxJr9d4"),
        ERR_OK);
}

static void refuses_another_key(void **state)
{
    (void)state;
    assert_int_equal(verify_forged(hs256, original, "another secret"), ERR_UNAUTHENTICATED);
}

static void refuses_every_other_algorithm(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"RS256\"}",
        "{\"alg\":\"HS384\"}",
        "{\"alg\":\"HS512\"}",
        "{\"alg\":\"hs256\"}",
        "{\"alg\":\"\"}",
        "{\"alg\":null}",
        "{\"alg\":[\"HS256\"]}",
        "{}",
        "[]",
        "\"HS256\"",
        "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"HS256\",\"crit\":null}",
        "{\"alg\":\"HS256\"} ",
        "{\"alg\":\"HS256\"",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
        enum err want = i == 15 ? ERR_OK : ERR_UNAUTHENTICATED; /* trailing space is still JSON */
        assert_int_equal(verify_forged(headers[i], original, secret), want);
    }
}

static void refuses_an_unsigned_token(void **state)
{
    (void)state;
    AUTOFREE char *h = crypto_base64url_encode("{\"alg\":\"none\"}", 14);
    AUTOFREE char *h256 = crypto_base64url_encode(hs256, strlen(hs256));
    AUTOFREE char *p = crypto_base64url_encode(original, strlen(original));
    AUTOFREE char *none = mem_printf("%s.%s.", h, p), *bare = mem_printf("%s.%s.", h256, p);
    assert_int_equal(verify(none), ERR_UNAUTHENTICATED);
    assert_int_equal(verify(bare), ERR_UNAUTHENTICATED);
}

static void refuses_bad_claims(void **state)
{
    (void)state;
    static const char *const payloads[] = {
        "{\"id\":\"u1\",\"exp\":1700000000}", /* the second of its end */
        "{\"id\":\"u1\",\"exp\":1600000000}",
        "{\"id\":\"u1\",\"exp\":-1}",
        "{\"id\":\"u1\",\"exp\":1700000000.9}",
        "{\"id\":\"u1\",\"exp\":-1e300}",
        "{\"id\":\"u1\",\"exp\":1700000100,\"nbf\":1700000001.5}",
        "{\"id\":\"u1\",\"exp\":\"1700000100\"}",
        "{\"id\":\"u1\",\"exp\":99999999999999999999}",
        "{\"id\":\"u1\"}",
        "{\"exp\":1700000100}",
        "{\"id\":\"\",\"exp\":1700000100}",
        "{\"id\":7,\"exp\":1700000100}",
        "{\"id\":\"u\\u0000x\",\"exp\":1700000100}",
        "{\"id\":\"u1\",\"exp\":1700000100,\"nbf\":1700000001}",
        "{\"id\":\"u1\",\"exp\":1700000100,\"nbf\":\"0\"}",
        "{\"id\":\"u1\",\"exp\":1700000100,\"iss\":\"other\"}",
        "{\"id\":\"u1\",\"exp\":1700000100,\"iss\":null}",
        "{\"id\":\"u1\",\"exp\":1700000100,\"aud\":\"other\"}",
        "{\"id\":\"u1\",\"exp\":1700000100,\"aud\":[\"other\",1]}",
        "{\"id\":\"u1\",\"exp\":1700000100,\"aud\":{}}",
        "{\"id\":\"u1\",\"id\":\"u2\",\"exp\":1700000100}",
        "[]",
        "\"text\"",
        "null",
        "{",
        "",
    };
    for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++)
        assert_int_equal(verify_forged(hs256, payloads[i], secret), ERR_UNAUTHENTICATED);
}

static void takes_our_audience(void **state)
{
    (void)state;
    static const char *const payloads[] = {
        "{\"id\":\"u1\",\"exp\":1700000100,\"aud\":\"mcpbus\",\"iss\":\"mcpbus\"}",
        "{\"id\":\"u1\",\"exp\":1700000100,\"aud\":[\"other\",\"mcpbus\"]}",
        "{\"id\":\"u1\",\"exp\":1700000001,\"nbf\":1700000000}",
        "{\"id\":\"u1\",\"exp\":1700000001.5,\"nbf\":1.5}",
        "{\"id\":\"u1\",\"exp\":1e300}",
    };
    for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++)
        assert_int_equal(verify_forged(hs256, payloads[i], secret), ERR_OK);
}

static void refuses_every_truncation(void **state)
{
    (void)state;
    AUTOFREE char *token = forge(hs256, original, secret);
    for (size_t len = strlen(token) - 1; len > 0; len--) {
        json_t *claims;
        assert_int_equal(jwt_door_verify(secret, token, len, NOW, &claims), ERR_UNAUTHENTICATED);
    }
}

static void refuses_every_changed_character(void **state)
{
    (void)state;
    AUTOFREE char *token = forge(hs256, original, secret);
    for (size_t i = 0; token[i]; i++) {
        AUTOFREE char *bad = mem_strdup(token);
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        assert_int_equal(verify(bad), ERR_UNAUTHENTICATED);
    }
}

static void refuses_odd_shapes(void **state)
{
    (void)state;
    AUTOFREE char *token = forge(hs256, original, secret);
    AUTOFREE char *more = mem_printf("%s.", token), *front = mem_printf(".%s", token);
    AUTOFREE char *space = mem_printf("%s ", token), *pad = mem_printf("%s=", token);
    AUTOFREE char *twice = mem_printf("%s.%s", token, token);
    AUTOFREE char *doubled = mem_alloc(strlen(token) + 2);
    size_t dot = (size_t)(strchr(token, '.') - token);
    memcpy(doubled, token, dot + 1);
    memcpy(doubled + dot + 1, token + dot, strlen(token + dot));
    const char *const bad[] = {more, front, space, pad,     twice, doubled,
                               ".",  "..",  "...", "a.b.c", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(verify(bad[i]), ERR_UNAUTHENTICATED);
    json_t *claims; /* a NUL within */
    assert_int_equal(jwt_door_verify(secret, token, strlen(token) + 1, NOW, &claims),
                     ERR_UNAUTHENTICATED);
}

static void refuses_nine_kibibytes(void **state)
{
    (void)state;
    AUTOFREE char *name = mem_alloc(7001);
    memset(name, 'x', 7000);
    AUTOFREE char *payload = mem_printf("{\"id\":\"u1\",\"exp\":1700000100,\"n\":\"%s\"}", name);
    assert_int_equal(verify_forged(hs256, payload, secret), ERR_UNAUTHENTICATED);
    name[5000] = '\0';
    AUTOFREE char *shorter = mem_printf("{\"id\":\"u1\",\"exp\":1700000100,\"n\":\"%s\"}", name);
    assert_int_equal(verify_forged(hs256, shorter, secret), ERR_OK);
    AUTOJSON json_t *claims = json_pack("{s:s}", "id", "u1");
    memset(name, 'x', 7000);
    json_object_set_new(claims, "n", json_string(name));
    char *token = NULL;
    assert_int_equal(jwt_door_sign(secret, claims, &token), ERR_TOO_LARGE);
    assert_null(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_and_verifies),
        cmocka_unit_test(takes_the_originals_form),
        cmocka_unit_test(takes_a_token_made_elsewhere),
        cmocka_unit_test(refuses_another_key),
        cmocka_unit_test(refuses_every_other_algorithm),
        cmocka_unit_test(refuses_an_unsigned_token),
        cmocka_unit_test(refuses_bad_claims),
        cmocka_unit_test(takes_our_audience),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(refuses_every_changed_character),
        cmocka_unit_test(refuses_odd_shapes),
        cmocka_unit_test(refuses_nine_kibibytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
