/* Whose token it is: verified tokens, remembered so that the next request with the same one needs
 * no second HMAC and no parsing. What passes with time is judged at every request: exp and nbf
 * here, revocations by the caller, so an entry is a proof of the signature and nothing else. Only
 * tokens that passed jwt_door_verify get in. Bounded: IDENTITY_SLOTS tokens of IDENTITY_TOKEN_MAX
 * bytes at most, the longest unused of a set makes room; longer tokens are verified each time. The
 * table is seeded, so nobody can choose tokens that push out another's. Not thread-safe. */
#ifndef MCPBUS_GATEWAY_IDENTITY_H
#define MCPBUS_GATEWAY_IDENTITY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/err.h"

enum { IDENTITY_SLOTS = 4096, IDENTITY_TOKEN_MAX = 2048 };

struct identities;

/* Read-only for all but identity.c and whoever fills `me`. */
struct identity {
    json_t *claims;
    const char *user_id;            /* in the claims */
    int64_t generation;             /* −1: none */
    int64_t expires_at, not_before; /* seconds */
    char *me;                       /* the ready body of GET /me; NULL: not yet made */
    size_t me_len;
    unsigned references;
};

/* Tokens under either secret are good; `previous` may be NULL. */
struct identities *identities_new(const char *secret, const char *previous);
/* Entries that requests still hold live on until these let go. */
void identities_destroy(struct identities **identities_p);

/* What a valid token says; identity_release it. ERR_UNAUTHENTICATED as jwt_door_verify. */
MUST_CHECK enum err identities_find(struct identities *identities, const char *token, int64_t now_s,
                                    struct identity **ret_identity);
void identity_release(struct identity *identity); /* may be NULL */

#endif
