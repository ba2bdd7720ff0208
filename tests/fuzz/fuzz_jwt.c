/* Tokens from anywhere: no input may crash the verifier or pass without the key. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/jwt.h"
#include "libcommon/mem.h"

static const char secret[] = "a secret of the fuzzer's own";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input as header.payload, signed rightly, so that what comes after the signature is reached.
 */
static void verify_signed(const uint8_t *data, size_t size)
{
    uint8_t mac[CRYPTO_SHA256_BYTES];
    crypto_hmac_sha256(secret, strlen(secret), data, size, mac);
    AUTOFREE char *signature = crypto_base64url_encode(mac, sizeof(mac));
    size_t len = size + 1 + strlen(signature);
    AUTOFREE char *token = mem_alloc(len + 1);
    memcpy(token, data, size);
    token[size] = '.';
    memcpy(token + size + 1, signature, strlen(signature));
    json_t *claims = NULL;
    if (jwt_door_verify(secret, token, len, 1000, &claims) == ERR_OK)
        json_decref(claims);
}

/* The input as the payload itself. */
static void verify_payload(const uint8_t *data, size_t size)
{
    AUTOFREE char *payload = crypto_base64url_encode(data, size);
    AUTOFREE char *text = mem_printf("eyJhbGciOiJIUzI1NiJ9.%s", payload);
    verify_signed((const uint8_t *)text, strlen(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *claims = NULL;
    if (jwt_door_verify(secret, (const char *)data, size, 1000, &claims) == ERR_OK)
        abort(); /* the fuzzer can't know the key */
    verify_signed(data, size);
    if (size < 4096)
        verify_payload(data, size);
    return 0;
}
