#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/auth/state.h"

enum { NOW = 1700000000 };

static void make(struct state *state, char **ret_sealed, uint8_t key[CRYPTO_KEY_BYTES])
{
    AUTOJSON json_t *scopes = json_pack("[s, s]", "drive", "gmail_full");
    crypto_derive_key("the secret of all services", "state", key);
    state_init(state, scopes, NULL, NOW);
    *ret_sealed = state_seal(state, STATE_SIGN_IN, key);
}

static void opens_what_was_sealed(void **unused)
{
    (void)unused;
    struct state state, read;
    uint8_t key[CRYPTO_KEY_BYTES];
    AUTOFREE char *sealed = NULL;
    make(&state, &sealed, key);
    assert_true(strlen(sealed) < 1024);
    assert_int_equal(state_open(sealed, STATE_SIGN_IN, key, NOW + STATE_LIFE_S - 1, &read), ERR_OK);
    assert_string_equal(read.verifier, state.verifier);
    assert_string_equal(read.user_id, state.user_id);
    assert_string_equal(read.nonce, state.nonce);
    assert_int_equal(read.expires_at, state.expires_at);
    assert_true(json_equal(read.scopes, state.scopes));
    state_fini(&state);
    state_fini(&read);
}

static void keeps_where_it_came_from(void **unused)
{
    (void)unused;
    struct state state, read;
    uint8_t key[CRYPTO_KEY_BYTES];
    AUTOJSON json_t *scopes = json_array();
    crypto_derive_key("the secret of all services", "state", key);
    state_init(&state, scopes, "https://bus.example", NOW);
    AUTOFREE char *sealed = state_seal(&state, STATE_SIGN_IN, key);
    assert_int_equal(state_open(sealed, STATE_SIGN_IN, key, NOW, &read), ERR_OK);
    assert_string_equal(read.origin, "https://bus.example");
    state_fini(&state);
    state_fini(&read);
}

static void ends_in_time(void **unused)
{
    (void)unused;
    struct state state, read;
    uint8_t key[CRYPTO_KEY_BYTES];
    AUTOFREE char *sealed = NULL;
    make(&state, &sealed, key);
    assert_int_equal(state_open(sealed, STATE_SIGN_IN, key, NOW + STATE_LIFE_S, &read),
                     ERR_EXPIRED);
    state_fini(&state);
}

static void refuses_what_was_not_sealed_here(void **unused)
{
    (void)unused;
    struct state state, read;
    uint8_t key[CRYPTO_KEY_BYTES], other[CRYPTO_KEY_BYTES];
    AUTOFREE char *sealed = NULL;
    make(&state, &sealed, key);
    crypto_derive_key("the secret of all services", "tokens", other);
    assert_int_equal(state_open(sealed, STATE_SIGN_IN, other, NOW, &read), ERR_INVALID);
    assert_int_equal(state_open("", STATE_SIGN_IN, key, NOW, &read), ERR_INVALID);
    assert_int_equal(state_open("v1.00000000.AAAA", STATE_SIGN_IN, key, NOW, &read), ERR_INVALID);
    AUTOFREE char *long_text = mem_alloc(STATE_MAX_BYTES + 2);
    memset(long_text, 'A', STATE_MAX_BYTES + 1);
    assert_int_equal(state_open(long_text, STATE_SIGN_IN, key, NOW, &read), ERR_INVALID);
    static const char *const bodies[] = {"{}", "[]", "text", "{\"scopes\":[],\"exp\":9999999999}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        AUTOFREE char *odd = crypto_seal(key, "oauth-state", bodies[i], strlen(bodies[i]));
        assert_int_equal(state_open(odd, STATE_SIGN_IN, key, NOW, &read), ERR_INVALID);
    }
    state_fini(&state);
}

static void is_for_one_purpose(void **unused)
{
    (void)unused;
    struct state state, read;
    uint8_t key[CRYPTO_KEY_BYTES];
    AUTOFREE char *sealed = NULL;
    make(&state, &sealed, key);
    AUTOFREE char *other = state_seal(&state, STATE_IDENTIFY, key);
    assert_int_equal(state_open(sealed, STATE_IDENTIFY, key, NOW, &read), ERR_INVALID);
    assert_int_equal(state_open(other, STATE_SIGN_IN, key, NOW, &read), ERR_INVALID);
    assert_int_equal(state_open(other, STATE_IDENTIFY, key, NOW, &read), ERR_OK);
    assert_string_equal(read.nonce, state.nonce);
    state_fini(&state);
    state_fini(&read);
}

static void each_is_its_own(void **unused)
{
    (void)unused;
    struct state one, two;
    AUTOJSON json_t *scopes = json_array();
    state_init(&one, scopes, NULL, NOW);
    state_init(&two, scopes, NULL, NOW);
    assert_string_not_equal(one.nonce, two.nonce);
    assert_string_not_equal(one.user_id, two.user_id);
    assert_string_not_equal(one.verifier, two.verifier);
    state_fini(&one);
    state_fini(&two);
}

static void challenge_follows_rfc_7636(void **unused)
{
    (void)unused;
    /* appendix B */
    struct state state = {.verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"};
    AUTOFREE char *challenge = state_challenge(&state);
    assert_string_equal(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_what_was_sealed),
        cmocka_unit_test(keeps_where_it_came_from),
        cmocka_unit_test(ends_in_time),
        cmocka_unit_test(refuses_what_was_not_sealed_here),
        cmocka_unit_test(is_for_one_purpose),
        cmocka_unit_test(each_is_its_own),
        cmocka_unit_test(challenge_follows_rfc_7636),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
