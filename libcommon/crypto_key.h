/* Private keys that sign JSON Web Signatures (RFC 7515), for OAuth's private_key_jwt (RFC 7523) and
 * DPoP (RFC 9449). RSA signs as RS256, P-256 as ES256, P-384 as ES384, Ed25519 as EdDSA. A key is
 * used by one thread at a time. */
#ifndef MCPBUS_CRYPTO_KEY_H
#define MCPBUS_CRYPTO_KEY_H

#include <jansson.h>

#include "libcommon/err.h"

struct crypto_key;

/* From PEM (PKCS #8 or the older forms), without a passphrase. ERR_INVALID: not such a key, or one
 * too weak to sign (RSA below 2048 bits). */
MUST_CHECK enum err crypto_key_read(const char *pem, struct crypto_key **ret_key);
/* A new one, P-256. */
struct crypto_key *crypto_key_new(void);
void crypto_key_destroy(struct crypto_key **key_p);

const char *crypto_key_alg(const struct crypto_key *key); /* "RS256", … */
/* Its public half as a JWK (RFC 7517); NULL for all but P-256. */
json_t *crypto_key_jwk(const struct crypto_key *key);

/* The compact form of a JWS of `claims`; `header` (borrowed, may be NULL) is completed with "alg".
 * free() it. ERR_INTERNAL: OpenSSL would not. */
MUST_CHECK enum err crypto_key_sign(struct crypto_key *key, const json_t *header,
                                    const json_t *claims, char **ret_jws);

#endif
