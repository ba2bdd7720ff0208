#include "libcommon/crypto_key.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { PEM_MAX = 64 << 10, RSA_BITS_MIN = 2048, P256_BYTES = 32, P384_BYTES = 48, FLAT_MAX = 96 };

struct crypto_key {
    EVP_PKEY *pkey;
    const char *alg;
    const EVP_MD *digest; /* NULL: the algorithm has its own */
    int half;             /* bytes of r and of s in an ECDSA signature; 0: not ECDSA */
};

/* Without this OpenSSL asks for a passphrase on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf, (void)size, (void)rwflag, (void)arg;
    return -1;
}

static bool set_ec(struct crypto_key *key)
{
    char group[64];
    size_t len;
    if (EVP_PKEY_get_group_name(key->pkey, group, sizeof group, &len) != 1)
        return false;
    if (strcmp(group, "prime256v1") == 0) {
        key->alg = "ES256";
        key->digest = EVP_sha256();
        key->half = P256_BYTES;
    } else if (strcmp(group, "secp384r1") == 0) {
        key->alg = "ES384";
        key->digest = EVP_sha384();
        key->half = P384_BYTES;
    }
    return key->half != 0;
}

static bool set_algorithm(struct crypto_key *key)
{
    switch (EVP_PKEY_get_base_id(key->pkey)) {
    case EVP_PKEY_RSA:
        key->alg = "RS256";
        key->digest = EVP_sha256();
        return EVP_PKEY_get_bits(key->pkey) >= RSA_BITS_MIN;
    case EVP_PKEY_EC:
        return set_ec(key);
    case EVP_PKEY_ED25519:
        key->alg = "EdDSA";
        return true;
    default:
        return false;
    }
}

static struct crypto_key *key_from(EVP_PKEY *pkey)
{
    struct crypto_key *key = mem_alloc(sizeof *key);
    key->pkey = pkey;
    if (!pkey || !set_algorithm(key))
        crypto_key_destroy(&key);
    return key;
}

enum err crypto_key_read(const char *pem, struct crypto_key **ret_key)
{
    size_t len = strlen(pem);
    if (len > PEM_MAX)
        return ERR_INVALID;
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    struct crypto_key *key = key_from(pkey);
    if (!key)
        return ERR_INVALID;
    *ret_key = key;
    return ERR_OK;
}

struct crypto_key *crypto_key_new(void)
{
    struct crypto_key *key = key_from(EVP_EC_gen("P-256"));
    if (!key) {
        fputs("crypto: making a P-256 key failed\n", stderr);
        abort();
    }
    return key;
}

void crypto_key_destroy(struct crypto_key **key_p)
{
    struct crypto_key *key = *key_p;
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
    *key_p = NULL;
}

const char *crypto_key_alg(const struct crypto_key *key)
{
    return key->alg;
}

json_t *crypto_key_jwk(const struct crypto_key *key)
{
    /* An uncompressed point (SEC 1 §2.3.3): 4, x, y. */
    uint8_t point[1 + 2 * P256_BYTES];
    size_t len = 0;
    if (key->half != P256_BYTES ||
        EVP_PKEY_get_octet_string_param(key->pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
                                        &len) != 1 ||
        len != sizeof point || point[0] != 4)
        return NULL;
    AUTOFREE char *x = crypto_base64url_encode(point + 1, P256_BYTES);
    AUTOFREE char *y = crypto_base64url_encode(point + 1 + P256_BYTES, P256_BYTES);
    return json_pack("{s:s, s:s, s:s, s:s}", "kty", "EC", "crv", "P-256", "x", x, "y", y);
}

/* OpenSSL gives DER; JWS wants r and s side by side (RFC 7518 §3.4). */
static bool flatten(const struct crypto_key *key, uint8_t *signature, size_t *len)
{
    const uint8_t *at = signature;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)*len);
    uint8_t flat[FLAT_MAX];
    bool good = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), flat, key->half) == key->half &&
                BN_bn2binpad(ECDSA_SIG_get0_s(pair), flat + key->half, key->half) == key->half;
    ECDSA_SIG_free(pair);
    if (good) {
        *len = 2 * (size_t)key->half;
        memcpy(signature, flat, *len);
    }
    return good;
}

/* base64url of the signature of `text`; NULL when OpenSSL would not. */
static char *signature_of(struct crypto_key *key, const char *text)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t *signature = NULL;
    size_t len = 0, text_len = strlen(text);
    char *encoded = NULL;
    if (ctx && EVP_DigestSignInit(ctx, NULL, key->digest, NULL, key->pkey) == 1 &&
        EVP_DigestSign(ctx, NULL, &len, (const uint8_t *)text, text_len) == 1) {
        signature = mem_alloc(len < FLAT_MAX ? FLAT_MAX : len);
        if (EVP_DigestSign(ctx, signature, &len, (const uint8_t *)text, text_len) == 1 &&
            (!key->half || flatten(key, signature, &len)))
            encoded = crypto_base64url_encode(signature, len);
    }
    EVP_MD_CTX_free(ctx);
    free(signature);
    ERR_clear_error();
    return encoded;
}

static char *encoded_json(const json_t *json)
{
    AUTOFREE char *text = js_dump(json);
    return crypto_base64url_encode(text, strlen(text));
}

enum err crypto_key_sign(struct crypto_key *key, const json_t *header, const json_t *claims,
                         char **ret_jws)
{
    AUTOJSON json_t *head = json_pack("{s:s}", "alg", key->alg);
    if (header)
        json_object_update_missing(head, (json_t *)header);
    AUTOFREE char *first = encoded_json(head);
    AUTOFREE char *second = encoded_json(claims);
    AUTOFREE char *text = mem_printf("%s.%s", first, second);
    AUTOFREE char *signature = signature_of(key, text);
    if (!signature)
        return ERR_INTERNAL;
    *ret_jws = mem_printf("%s.%s", text, signature);
    return ERR_OK;
}
