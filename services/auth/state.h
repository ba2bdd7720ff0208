/* OAuth's `state`: what a sign-in needs to know when the browser comes back, sealed, so that any
 * replica can go on and strangers fill no table. Pure. */
#ifndef MCPBUS_AUTH_STATE_H
#define MCPBUS_AUTH_STATE_H

#include <jansson.h>
#include <stdint.h>

#include "libcommon/crypto.h"
#include "libcommon/err.h"

enum { STATE_LIFE_S = 600, STATE_VERIFIER_SIZE = 44, STATE_MAX_BYTES = 4096 };

/* What a state is for: one that was sealed for the one opens for no other. */
enum state_purpose {
    STATE_SIGN_IN,  /* a user's, who gets a token and gives access */
    STATE_IDENTIFY, /* who sits there, for the monitor: nothing is kept */
};

struct state {
    json_t *scopes;                     /* names */
    char verifier[STATE_VERIFIER_SIZE]; /* of PKCE, RFC 7636 §4.1 */
    char user_id[CRYPTO_UUID_SIZE];     /* a new account gets this id */
    char nonce[CRYPTO_UUID_SIZE];       /* redeemed once */
    int64_t expires_at;                 /* seconds since 1970 */
    char *origin;                       /* where the browser comes back to; NULL: as configured */
};

/* A new sign-in for these names (the reference stays the caller's). `origin` may be NULL. */
void state_init(struct state *state, json_t *scopes, const char *origin, int64_t now);
void state_fini(struct state *state);

/* The sealed text; free() it. */
char *state_seal(const struct state *state, enum state_purpose purpose,
                 const uint8_t key[CRYPTO_KEY_BYTES]);
/* ERR_INVALID for anything that was not sealed here, and for this; ERR_EXPIRED when it is too late.
 */
MUST_CHECK enum err state_open(const char *sealed, enum state_purpose purpose,
                               const uint8_t key[CRYPTO_KEY_BYTES], int64_t now,
                               struct state *ret_state);

/* base64url(SHA-256(verifier)), RFC 7636 §4.2; free() it. */
char *state_challenge(const struct state *state);

#endif
