/* The one door to OpenSSL's primitives: random bytes, digests, sealing, encodings. Any thread.
 * Failures of OpenSSL itself (no entropy, no algorithm) abort: nothing safe could follow. */
#ifndef MCPBUS_CRYPTO_H
#define MCPBUS_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/err.h"

enum {
    CRYPTO_KEY_BYTES = 32,
    CRYPTO_SHA256_BYTES = 32,
    CRYPTO_UUID_SIZE = 37,
    CRYPTO_KEY_ID_SIZE = 9,
    CRYPTO_UUID7_RANDOM = 8
};

void crypto_random(void *ret_bytes, size_t len);
uint64_t crypto_random_u64(void);
void crypto_sha256(const void *data, size_t len, uint8_t ret_digest[CRYPTO_SHA256_BYTES]);
void crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                        uint8_t ret_mac[CRYPTO_SHA256_BYTES]);
bool crypto_equal(const void *a, const void *b, size_t len); /* constant time */

/* A key of 32 bytes from a secret of any length (HKDF-SHA256, RFC 5869; `purpose` is the info), so
 * that one configured secret never serves two purposes. */
void crypto_derive_key(const char *secret, const char *purpose, uint8_t ret_key[CRYPTO_KEY_BYTES]);

/* Lower-case text UUIDs: random (v4), and time-ordered (v7, RFC 9562) whose order follows creation
 * within a process. */
void crypto_uuid4(char ret_uuid[CRYPTO_UUID_SIZE]);
void crypto_uuid7(char ret_uuid[CRYPTO_UUID_SIZE]);
/* The same with random bytes that were fetched for many at once; never use them again. */
void crypto_uuid7_from(const uint8_t random[CRYPTO_UUID7_RANDOM], char ret_uuid[CRYPTO_UUID_SIZE]);

/* base64url without padding (RFC 4648 §5). encode: free() the text. decode: ERR_INVALID on any
 * other character; free() *ret_data, which has a NUL behind it. */
char *crypto_base64url_encode(const void *data, size_t len);
MUST_CHECK enum err crypto_base64url_decode(const char *text, size_t text_len, uint8_t **ret_data,
                                            size_t *ret_len);
/* Standard base64 (RFC 4648 §4): encode pads; decode takes padding or none, and skips white space;
 * likewise. */
char *crypto_base64_encode(const void *data, size_t len);
MUST_CHECK enum err crypto_base64_decode(const char *text, size_t text_len, uint8_t **ret_data,
                                         size_t *ret_len);

/* AES-256-GCM: "v1.KEYID.base64url(nonce ‖ ciphertext ‖ tag)", with `context` (what the value is
 * and whose) authenticated too, so that a sealed value can't be moved to another row. KEYID is the
 * first 8 hex digits of the key's SHA-256. free() the text. open: ERR_INVALID for anything that
 * was not sealed with this key and context; *ret_text has a NUL behind it, free() it. */
char *crypto_seal(const uint8_t key[CRYPTO_KEY_BYTES], const char *context, const void *plain,
                  size_t len);
/* KEYID of a key. */
void crypto_key_id(const uint8_t key[CRYPTO_KEY_BYTES], char ret_id[CRYPTO_KEY_ID_SIZE]);
MUST_CHECK enum err crypto_open(const uint8_t key[CRYPTO_KEY_BYTES], const char *context,
                                const char *sealed, char **ret_text, size_t *ret_len);

#endif
