#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/crypto.h"
#include "libcommon/mem.h"

static void assert_hex(const uint8_t *data, size_t len, const char *hex)
{
    char text[129];
    assert_true(len <= 64);
    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", data[i]);
    assert_string_equal(text, hex);
}

static void sha256_follows_fips_180(void **state)
{
    (void)state;
    uint8_t digest[CRYPTO_SHA256_BYTES];
    crypto_sha256("abc", 3, digest);
    assert_hex(digest, sizeof(digest),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256(NULL, 0, digest);
    assert_hex(digest, sizeof(digest),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void hmac_follows_rfc_4231(void **state)
{
    (void)state;
    uint8_t mac[CRYPTO_SHA256_BYTES], key[20];
    memset(key, 0x0b, sizeof(key));
    crypto_hmac_sha256(key, sizeof(key), "Hi There", 8, mac);
    assert_hex(mac, sizeof(mac),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    const char *text = "what do ya want for nothing?";
    crypto_hmac_sha256("Jefe", 4, text, strlen(text), mac);
    assert_hex(mac, sizeof(mac),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void derive_follows_rfc_5869(void **state)
{
    (void)state;
    char secret[23];
    memset(secret, 0x0b, 22);
    secret[22] = '\0';
    uint8_t key[CRYPTO_KEY_BYTES], other[CRYPTO_KEY_BYTES];
    crypto_derive_key(secret, "", key); /* test case 3 */
    assert_hex(key, sizeof(key),
               "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
    crypto_derive_key(secret, "another purpose", other);
    assert_memory_not_equal(key, other, sizeof(key));
}

static void equal_compares(void **state)
{
    (void)state;
    assert_true(crypto_equal("same", "same", 4));
    assert_false(crypto_equal("same", "sane", 4));
    assert_true(crypto_equal("", "", 0));
}

static void base64url_follows_rfc_4648(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfd", "__79"},
        {"\xfb", "-w"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
        const char *plain = vectors[i][0], *text = vectors[i][1];
        AUTOFREE char *encoded = crypto_base64url_encode(plain, strlen(plain));
        assert_string_equal(encoded, text);
        AUTOFREE uint8_t *decoded = NULL;
        size_t len = 99;
        assert_int_equal(crypto_base64url_decode(text, strlen(text), &decoded, &len), ERR_OK);
        assert_int_equal(len, strlen(plain));
        assert_string_equal((char *)decoded, plain);
    }
}

static void base64url_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {"Z",    "Zg==", "Zm9vY", "Zm 9v", "Zm9+",
                                      "Zm9/", "Zh",   "Zm9",   "é"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        uint8_t *data = NULL;
        size_t len;
        assert_int_equal(crypto_base64url_decode(bad[i], strlen(bad[i]), &data, &len), ERR_INVALID);
        assert_null(data);
    }
}

static void base64_takes_padding_and_space(void **state)
{
    (void)state;
    static const char *const good[] = {"Zm9vYg==", "Zm9vYg", "Zm9v\r\nYg==\r\n",
                                       "Zm9vYg= =", " Zm9v Yg"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        AUTOFREE uint8_t *data = NULL;
        size_t len = 0;
        assert_int_equal(crypto_base64_decode(good[i], strlen(good[i]), &data, &len), ERR_OK);
        assert_int_equal(len, 4);
        assert_string_equal((char *)data, "foob");
    }
    static const char *const bad[] = {"Zm9v===", "=Zm9v", "Zg==Zg==", "Zm9-", "Z"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        uint8_t *data;
        size_t len;
        assert_int_equal(crypto_base64_decode(bad[i], strlen(bad[i]), &data, &len), ERR_INVALID);
    }
}

static void base64_round_trips_every_length(void **state)
{
    (void)state;
    uint8_t in[100];
    crypto_random(in, sizeof(in));
    for (size_t n = 0; n <= sizeof(in); n++) {
        AUTOFREE char *text = crypto_base64url_encode(in, n);
        AUTOFREE uint8_t *out = NULL;
        size_t len;
        assert_int_equal(crypto_base64url_decode(text, strlen(text), &out, &len), ERR_OK);
        assert_int_equal(len, n);
        assert_memory_equal(in, out, n);
    }
}

static void uuids_have_their_form(void **state)
{
    (void)state;
    char uuid[CRYPTO_UUID_SIZE];
    crypto_uuid4(uuid);
    assert_int_equal(strlen(uuid), 36);
    assert_int_equal(uuid[14], '4');
    assert_non_null(strchr("89ab", uuid[19]));
    crypto_uuid7(uuid);
    assert_int_equal(strlen(uuid), 36);
    assert_int_equal(uuid[14], '7');
    assert_non_null(strchr("89ab", uuid[19]));
    assert_true(uuid[8] == '-' && uuid[13] == '-' && uuid[18] == '-' && uuid[23] == '-');
}

static void uuid7_is_monotonic_and_dated(void **state)
{
    (void)state;
    char before[CRYPTO_UUID_SIZE] = "", now[CRYPTO_UUID_SIZE];
    for (int i = 0; i < 100000; i++) {
        crypto_uuid7(now);
        assert_true(strcmp(before, now) < 0);
        memcpy(before, now, sizeof(now));
    }
    char stamp[13] = "";
    memcpy(stamp, now, 8);
    memcpy(stamp + 8, now + 9, 4);
    long long off = strtoll(stamp, NULL, 16) / 1000 - (long long)time(NULL);
    assert_true(off >= -2 && off <= 2);
}

static void forked_children_draw_other_bytes(void **state)
{
    (void)state;
    crypto_random_u64();
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    uint64_t values[8];
    for (int i = 0; i < 7; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            uint64_t value = crypto_random_u64();
            _exit(write(fds[1], &value, sizeof(value)) != sizeof(value));
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(read(fds[0], &values[i], sizeof(values[i])), sizeof(values[i]));
    }
    values[7] = crypto_random_u64();
    for (int i = 0; i < 8; i++)
        for (int j = i + 1; j < 8; j++)
            assert_true(values[i] != values[j]);
    close(fds[0]);
    close(fds[1]);
}

static void seal_opens_again(void **state)
{
    (void)state;
    uint8_t key[CRYPTO_KEY_BYTES];
    crypto_derive_key("a secret of the service", "tokens", key);
    for (size_t n = 0; n < 50; n++) {
        char plain[50];
        crypto_random(plain, sizeof(plain));
        AUTOFREE char *sealed = crypto_seal(key, "row:1", plain, n);
        AUTOFREE char *again = crypto_seal(key, "row:1", plain, n);
        assert_string_not_equal(sealed, again);
        assert_memory_equal(sealed, again, 12); /* v1.KEYID. */
        AUTOFREE char *text = NULL;
        size_t len;
        assert_int_equal(crypto_open(key, "row:1", sealed, &text, &len), ERR_OK);
        assert_int_equal(len, n);
        assert_memory_equal(text, plain, n);
        assert_int_equal(text[n], 0);
    }
}

static void open_refuses_what_was_not_sealed(void **state)
{
    (void)state;
    uint8_t key[CRYPTO_KEY_BYTES], other[CRYPTO_KEY_BYTES];
    crypto_derive_key("a secret of the service", "tokens", key);
    crypto_derive_key("a secret of the service", "state", other);
    AUTOFREE char *sealed = crypto_seal(key, "row:1", "ya29.token", 10);
    char *text = NULL;
    size_t len;
    assert_int_equal(crypto_open(other, "row:1", sealed, &text, &len), ERR_INVALID);
    assert_int_equal(crypto_open(key, "row:2", sealed, &text, &len), ERR_INVALID);
    for (size_t i = 0; sealed[i]; i++) {
        AUTOFREE char *bad = mem_strdup(sealed);
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        assert_int_equal(crypto_open(key, "row:1", bad, &text, &len), ERR_INVALID);
        bad[i] = '\0';
        assert_int_equal(crypto_open(key, "row:1", bad, &text, &len), ERR_INVALID);
    }
    assert_null(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_follows_fips_180),
        cmocka_unit_test(hmac_follows_rfc_4231),
        cmocka_unit_test(derive_follows_rfc_5869),
        cmocka_unit_test(equal_compares),
        cmocka_unit_test(base64url_follows_rfc_4648),
        cmocka_unit_test(base64url_refuses),
        cmocka_unit_test(base64_takes_padding_and_space),
        cmocka_unit_test(base64_round_trips_every_length),
        cmocka_unit_test(uuids_have_their_form),
        cmocka_unit_test(uuid7_is_monotonic_and_dated),
        cmocka_unit_test(forked_children_draw_other_bytes),
        cmocka_unit_test(seal_opens_again),
        cmocka_unit_test(open_refuses_what_was_not_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
