#include "tests/unit/unit.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "libcommon/crypto.h"
#include "libcommon/crypto_key.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

static char *pem_of(EVP_PKEY *pkey, const char *passphrase)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const EVP_CIPHER *cipher = passphrase ? EVP_aes_128_cbc() : NULL;
    assert_int_equal(PEM_write_bio_PrivateKey(bio, pkey, cipher, NULL, 0, NULL, (void *)passphrase),
                     1);
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *pem = mem_strndup(data, (size_t)len);
    BIO_free(bio);
    return pem;
}

/* JWS has r ‖ s where OpenSSL has DER. */
static int to_der(const uint8_t *flat, size_t len, unsigned char **ret_der)
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    int half = (int)len / 2;
    ECDSA_SIG_set0(pair, BN_bin2bn(flat, half, NULL), BN_bin2bn(flat + half, half, NULL));
    int size = i2d_ECDSA_SIG(pair, ret_der);
    ECDSA_SIG_free(pair);
    return size;
}

static bool verifies(EVP_PKEY *pkey, const EVP_MD *digest, bool ec, const char *jws)
{
    const char *dot = strrchr(jws, '.');
    uint8_t *flat, *der = NULL;
    size_t len;
    assert_int_equal(crypto_base64url_decode(dot + 1, strlen(dot + 1), &flat, &len), ERR_OK);
    if (ec)
        len = (size_t)to_der(flat, len, &der);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = EVP_DigestVerifyInit(ctx, NULL, digest, NULL, pkey) == 1 &&
                EVP_DigestVerify(ctx, ec ? der : flat, len, (const unsigned char *)jws,
                                 (size_t)(dot - jws)) == 1;
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    free(flat);
    return good;
}

static json_t *part(const char *jws, int which)
{
    for (; which; which--)
        jws = strchr(jws, '.') + 1;
    uint8_t *text;
    size_t len;
    json_t *json = NULL;
    assert_int_equal(crypto_base64url_decode(jws, strcspn(jws, "."), &text, &len), ERR_OK);
    assert_int_equal(js_parse((char *)text, len, &json, NULL), ERR_OK);
    free(text);
    return json;
}

static void check(EVP_PKEY *pkey, const EVP_MD *digest, bool ec, const char *alg)
{
    AUTOFREE char *pem = pem_of(pkey, NULL);
    struct crypto_key *key = NULL;
    assert_int_equal(crypto_key_read(pem, &key), ERR_OK);
    assert_string_equal(crypto_key_alg(key), alg);
    AUTOJSON json_t *header = json_pack("{s:s, s:s}", "typ", "JWT", "alg", "none");
    AUTOJSON json_t *claims = json_pack("{s:s}", "iss", "a client");
    for (int i = 0; i < 20; i++) { /* r and s are now and then shorter than the group */
        AUTOFREE char *jws = NULL;
        assert_int_equal(crypto_key_sign(key, header, claims, &jws), ERR_OK);
        assert_true(verifies(pkey, digest, ec, jws));
        AUTOJSON json_t *head = part(jws, 0), *body = part(jws, 1);
        assert_string_equal(js_str(head, "alg", ""), alg);
        assert_string_equal(js_str(head, "typ", ""), "JWT");
        assert_true(json_equal(body, claims));
    }
    crypto_key_destroy(&key);
    EVP_PKEY_free(pkey);
}

static void keys_sign_by_their_kind(void **state)
{
    (void)state;
    check(EVP_RSA_gen(2048), EVP_sha256(), false, "RS256");
    check(EVP_EC_gen("P-256"), EVP_sha256(), true, "ES256");
    check(EVP_EC_gen("P-384"), EVP_sha384(), true, "ES384");
    check(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL, false, "EdDSA");
}

static void weak_and_foreign_keys_are_refused(void **state)
{
    (void)state;
    EVP_PKEY *const weak[] = {EVP_RSA_gen(1024), EVP_EC_gen("secp256k1"),
                              EVP_PKEY_Q_keygen(NULL, NULL, "X25519")};
    struct crypto_key *key = NULL;
    for (int i = 0; i < 3; i++) {
        AUTOFREE char *pem = pem_of(weak[i], NULL);
        assert_int_equal(crypto_key_read(pem, &key), ERR_INVALID);
        EVP_PKEY_free(weak[i]);
    }
    EVP_PKEY *good = EVP_EC_gen("P-256");
    AUTOFREE char *locked = pem_of(good, "secret");
    assert_int_equal(crypto_key_read(locked, &key), ERR_INVALID);
    assert_int_equal(crypto_key_read("", &key), ERR_INVALID);
    assert_int_equal(crypto_key_read("-----BEGIN PRIVATE KEY-----\nAAAA\n", &key), ERR_INVALID);
    assert_null(key);
    EVP_PKEY_free(good);
}

static void a_new_key_shows_its_public_half(void **state)
{
    (void)state;
    struct crypto_key *key = crypto_key_new();
    AUTOJSON json_t *jwk = crypto_key_jwk(key);
    assert_string_equal(js_str(jwk, "kty", ""), "EC");
    assert_string_equal(js_str(jwk, "crv", ""), "P-256");
    assert_int_equal(strlen(js_str(jwk, "x", "")), 43);
    assert_int_equal(strlen(js_str(jwk, "y", "")), 43);
    assert_null(json_object_get(jwk, "d"));
    crypto_key_destroy(&key);
    crypto_key_destroy(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_sign_by_their_kind),
        cmocka_unit_test(weak_and_foreign_keys_are_refused),
        cmocka_unit_test(a_new_key_shows_its_public_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
