#include "libcommon/crypto.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "libcommon/mem.h"

enum {
    NONCE_BYTES = 12,
    TAG_BYTES = 16,
    KEY_ID_CHARS = CRYPTO_KEY_ID_SIZE - 1,
    INFO_MAX_BYTES = 1024
};

static void require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "crypto: %s failed\n", what);
    abort();
}

/* The kernel's generator, not OpenSSL's: the latter notices a fork by the pid alone, so children in
 * pid namespaces of their own drew the same bytes. */
void crypto_random(void *ret_bytes, size_t len)
{
    uint8_t *at = ret_bytes;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        require(got > 0, "getrandom");
        at += got;
        len -= (size_t)got;
    }
}

uint64_t crypto_random_u64(void)
{
    uint64_t value;
    crypto_random(&value, sizeof(value));
    return value;
}

void crypto_sha256(const void *data, size_t len, uint8_t ret_digest[CRYPTO_SHA256_BYTES])
{
    unsigned size = 0;
    int ok = EVP_Digest(len ? data : "", len, ret_digest, &size, EVP_sha256(), NULL);
    require(ok == 1 && size == CRYPTO_SHA256_BYTES, "SHA-256");
}

void crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                        uint8_t ret_mac[CRYPTO_SHA256_BYTES])
{
    require(key_len <= INT_MAX, "HMAC key");
    unsigned size = 0;
    const uint8_t *mac =
        HMAC(EVP_sha256(), key_len ? key : "", (int)key_len, len ? data : "", len, ret_mac, &size);
    require(mac && size == CRYPTO_SHA256_BYTES, "HMAC-SHA-256");
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

/* RFC 5869 §2.2 and §2.3 for an output of one block and no salt. */
void crypto_derive_key(const char *secret, const char *purpose, uint8_t ret_key[CRYPTO_KEY_BYTES])
{
    static const uint8_t no_salt[CRYPTO_SHA256_BYTES];
    uint8_t prk[CRYPTO_SHA256_BYTES], info[INFO_MAX_BYTES + 1];
    size_t len = strlen(purpose);
    require(len <= INFO_MAX_BYTES, "key derivation (purpose too long)");
    for (size_t i = 0; i < len; i++)
        info[i] = (uint8_t)purpose[i];
    info[len] = 1;
    crypto_hmac_sha256(no_salt, sizeof(no_salt), secret, strlen(secret), prk);
    crypto_hmac_sha256(prk, sizeof(prk), info, len + 1, ret_key);
    OPENSSL_cleanse(prk, sizeof(prk));
}

static void uuid_format(uint8_t bytes[16], int version, char ret_uuid[CRYPTO_UUID_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | (version << 4));
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    char *out = ret_uuid;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = hex[bytes[i] >> 4];
        *out++ = hex[bytes[i] & 0x0f];
    }
    *out = '\0';
}

void crypto_uuid4(char ret_uuid[CRYPTO_UUID_SIZE])
{
    uint8_t bytes[16];
    crypto_random(bytes, sizeof(bytes));
    uuid_format(bytes, 4, ret_uuid);
}

/* Milliseconds and 4096ths of one (RFC 9562 §6.2, method 3), at least one step after the last. */
static uint64_t uuid_clock(void)
{
    static _Atomic uint64_t last;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    uint64_t tick = ms << 12 | (uint64_t)now.tv_nsec % 1000000 * 4096 / 1000000;
    uint64_t before = atomic_load(&last), next;
    do {
        next = tick > before ? tick : before + 1;
    } while (!atomic_compare_exchange_weak(&last, &before, next));
    return next;
}

void crypto_uuid7(char ret_uuid[CRYPTO_UUID_SIZE])
{
    uint8_t random[CRYPTO_UUID7_RANDOM];
    crypto_random(random, sizeof(random));
    crypto_uuid7_from(random, ret_uuid);
}

void crypto_uuid7_from(const uint8_t random[CRYPTO_UUID7_RANDOM], char ret_uuid[CRYPTO_UUID_SIZE])
{
    uint8_t bytes[16];
    uint64_t tick = uuid_clock();
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(tick >> (52 - 8 * i));
    bytes[6] = (uint8_t)(tick >> 8 & 0x0f);
    bytes[7] = (uint8_t)tick;
    memcpy(bytes + 8, random, CRYPTO_UUID7_RANDOM);
    uuid_format(bytes, 7, ret_uuid);
}

char *crypto_base64url_encode(const void *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *in = data;
    char *text = mem_alloc(len / 3 * 4 + 5), *out = text;
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | in[i];
        for (have += 8; have >= 6; have -= 6)
            *out++ = digits[bits >> (have - 6) & 0x3f];
    }
    if (have)
        *out++ = digits[bits << (6 - have) & 0x3f];
    *out = '\0';
    return text;
}

char *crypto_base64_encode(const void *data, size_t len)
{
    char *text = crypto_base64url_encode(data, len); /* has room for the padding */
    size_t digits = strlen(text);
    for (size_t i = 0; i < digits; i++)
        text[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
    for (; digits % 4; digits++)
        text[digits] = '=';
    text[digits] = '\0';
    return text;
}

/* The value of a digit; `extra` are the alphabet's last two. */
static int base64_digit(char c, const char *extra)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == extra[0] ? 62 : c == extra[1] ? 63 : -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Length of the text without white space and padding at its end. */
static size_t base64_trim(const char *text, size_t len)
{
    size_t pads = 0;
    while (len > 0 && (is_space(text[len - 1]) || (text[len - 1] == '=' && pads < 2)))
        pads += text[--len] == '=';
    return len;
}

static enum err base64_decode(const char *text, size_t text_len, const char *extra, bool spaces,
                              uint8_t **ret_data, size_t *ret_len)
{
    uint8_t *data = mem_alloc(text_len / 4 * 3 + 4);
    size_t len = 0, digits = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < text_len; i++) {
        if (spaces && is_space(text[i]))
            continue;
        int digit = base64_digit(text[i], extra);
        if (digit < 0) {
            free(data);
            return ERR_INVALID;
        }
        bits = bits << 6 | (uint32_t)digit;
        unsigned place = digits++ % 4; /* the first digit of four completes no byte */
        if (place)
            data[len++] = (uint8_t)(bits >> (6 - 2 * place));
    }
    /* Left-over bits must be zero, so that no value has two spellings. */
    uint32_t left = digits % 4 == 2 ? bits & 0x0f : digits % 4 == 3 ? bits & 0x03 : 0;
    if (digits % 4 == 1 || left) {
        free(data);
        return ERR_INVALID;
    }
    data[len] = 0;
    *ret_data = data;
    *ret_len = len;
    return ERR_OK;
}

enum err crypto_base64url_decode(const char *text, size_t text_len, uint8_t **ret_data,
                                 size_t *ret_len)
{
    return base64_decode(text, text_len, "-_", false, ret_data, ret_len);
}

enum err crypto_base64_decode(const char *text, size_t text_len, uint8_t **ret_data,
                              size_t *ret_len)
{
    return base64_decode(text, base64_trim(text, text_len), "+/", true, ret_data, ret_len);
}

void crypto_key_id(const uint8_t key[CRYPTO_KEY_BYTES], char ret_id[CRYPTO_KEY_ID_SIZE])
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    crypto_sha256(key, CRYPTO_KEY_BYTES, digest);
    snprintf(ret_id, CRYPTO_KEY_ID_SIZE, "%02x%02x%02x%02x", digest[0], digest[1], digest[2],
             digest[3]);
}

char *crypto_seal(const uint8_t key[CRYPTO_KEY_BYTES], const char *context, const void *plain,
                  size_t len)
{
    size_t context_len = strlen(context);
    require(len <= INT_MAX / 2 && context_len <= INT_MAX, "sealing (too long)");
    uint8_t *packed = mem_alloc(NONCE_BYTES + len + TAG_BYTES), *body = packed + NONCE_BYTES;
    crypto_random(packed, NONCE_BYTES);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, ok = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, packed) == 1;
    ok = ok && EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)context, (int)context_len) == 1;
    if (len)
        ok = ok && EVP_EncryptUpdate(ctx, body, &n, plain, (int)len) == 1;
    ok = ok && EVP_EncryptFinal_ex(ctx, body + len, &n) == 1;
    ok = ok && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, body + len) == 1;
    require(ok, "AES-256-GCM");
    EVP_CIPHER_CTX_free(ctx);

    char id[CRYPTO_KEY_ID_SIZE];
    crypto_key_id(key, id);
    AUTOFREE char *text = crypto_base64url_encode(packed, NONCE_BYTES + len + TAG_BYTES);
    free(packed);
    return mem_printf("v1.%s.%s", id, text);
}

/* Decrypts nonce ‖ ciphertext ‖ tag into `plain`; false when it is not authentic. */
static bool gcm_open(const uint8_t key[CRYPTO_KEY_BYTES], const char *context, uint8_t *packed,
                     size_t packed_len, char *plain)
{
    size_t context_len = strlen(context), len = packed_len - NONCE_BYTES - TAG_BYTES;
    require(packed_len <= INT_MAX / 2 && context_len <= INT_MAX, "opening (too long)");
    uint8_t *body = packed + NONCE_BYTES;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, ok = ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, packed) == 1;
    ok = ok && EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)context, (int)context_len) == 1;
    if (len)
        ok = ok && EVP_DecryptUpdate(ctx, (uint8_t *)plain, &n, body, (int)len) == 1;
    ok = ok && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, body + len) == 1;
    require(ok, "AES-256-GCM");
    bool authentic = EVP_DecryptFinal_ex(ctx, (uint8_t *)plain + len, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return authentic;
}

enum err crypto_open(const uint8_t key[CRYPTO_KEY_BYTES], const char *context, const char *sealed,
                     char **ret_text, size_t *ret_len)
{
    char id[CRYPTO_KEY_ID_SIZE];
    crypto_key_id(key, id);
    if (strncmp(sealed, "v1.", 3) != 0 || strncmp(sealed + 3, id, KEY_ID_CHARS) != 0 ||
        sealed[3 + KEY_ID_CHARS] != '.')
        return ERR_INVALID;
    const char *text = sealed + 4 + KEY_ID_CHARS;
    AUTOFREE uint8_t *packed = NULL;
    size_t packed_len;
    enum err err = crypto_base64url_decode(text, strlen(text), &packed, &packed_len);
    if (err)
        return err;
    if (packed_len < NONCE_BYTES + TAG_BYTES || packed_len > INT_MAX / 2)
        return ERR_INVALID;
    size_t len = packed_len - NONCE_BYTES - TAG_BYTES;
    char *plain = mem_alloc(len + 1);
    if (!gcm_open(key, context, packed, packed_len, plain)) {
        OPENSSL_cleanse(plain, len);
        free(plain);
        return ERR_INVALID;
    }
    *ret_text = plain;
    *ret_len = len;
    return ERR_OK;
}
