/* The provider's endpoints: codes and refresh tokens exchanged, users read, access given back.
 * Loop's thread only. Nothing here logs or repeats a secret. */
#ifndef MCPBUS_AUTH_GOOGLE_H
#define MCPBUS_AUTH_GOOGLE_H

#include <jansson.h>
#include <stdint.h>

#include "libcommon/err.h"
#include "libcommon/loop.h"
#include "services/settings.h"

struct google;

struct google *google_new(struct loop *loop, const struct settings *settings);
void google_destroy(struct google **google_p); /* calls under way end with ERR_CANCELLED */

/* Borrowed for the length of the call back. */
struct google_tokens {
    const char *access_token;
    const char *refresh_token; /* NULL when none came */
    const char *scope;         /* NULL when it is what was asked for (RFC 6749 §5.1) */
    int64_t expires_in;        /* seconds */
};

/* ERR_OK with `tokens`; ERR_UNAUTHENTICATED for invalid_grant: the code or the refresh token is
 * dead; ERR_UPSTREAM otherwise. `why` is for a person. */
typedef void google_tokens_fn(void *arg, enum err err, const char *why,
                              const struct google_tokens *tokens);
void google_exchange(struct google *google, const char *code, const char *verifier,
                     const char *redirect_uri, google_tokens_fn *done, void *arg);
void google_refresh(struct google *google, const char *refresh_token, google_tokens_fn *done,
                    void *arg);

/* The profile, an object {sub, email, name, picture, email_verified} of texts and a bool; ERR_OK or
 * ERR_UPSTREAM. */
typedef void google_profile_fn(void *arg, enum err err, const char *why, const json_t *profile);
void google_userinfo(struct google *google, const char *access_token, google_profile_fn *done,
                     void *arg);

/* Gives access back, refresh token and all that came from it. ERR_OK or ERR_UPSTREAM. */
typedef void google_done_fn(void *arg, enum err err, const char *why);
void google_revoke(struct google *google, const char *token, google_done_fn *done, void *arg);

/* What an answer's body says, for google.c and its tests. ERR_UPSTREAM when it does not fit. */
MUST_CHECK enum err google_read_tokens(const json_t *body, struct google_tokens *ret_tokens);
MUST_CHECK enum err google_read_profile(const json_t *body, json_t **ret_profile);

#endif
