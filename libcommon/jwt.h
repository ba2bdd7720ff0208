/* JSON Web Tokens, HS256 only: the one door to libjwt. Any thread.
 * Before libjwt sees a token this checks its length (8 KiB), its shape and that its header says
 * HS256; after it, exp, nbf, iss and aud (libjwt checks none of them). */
#ifndef MCPBUS_JWT_H
#define MCPBUS_JWT_H

#include <jansson.h>
#include <stdint.h>

#include "libcommon/err.h"

enum { JWT_TOKEN_MAX_BYTES = 8192 };

/* Signs the claims (an object). free() the token. */
MUST_CHECK enum err jwt_door_sign(const char *secret, const json_t *claims, char **ret_token);

/* The claims of a valid token; `now` is seconds since 1970. Requires a string "id" and an
 * "exp" in the future (whole seconds in ret_claims); "iss" and "aud", when present, must be
 * "mcpbus". ERR_UNAUTHENTICATED otherwise. */
MUST_CHECK enum err jwt_door_verify(const char *secret, const char *token, size_t token_len,
                                    int64_t now, json_t **ret_claims);

/* The same for a token under any of these secrets; the list ends with NULL. */
MUST_CHECK enum err jwt_door_verify_any(const char *const *secrets, const char *token,
                                        size_t token_len, int64_t now, json_t **ret_claims);

#endif
