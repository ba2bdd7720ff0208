/* Two kinds of tokens: Google's, sealed for user_sessions.token_data, and ours, which users carry.
 * Pure. */
#ifndef MCPBUS_AUTH_TOKENS_H
#define MCPBUS_AUTH_TOKENS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/crypto.h"
#include "libcommon/err.h"
#include "services/token_keys.h"

enum { TOKENS_LIFE_S = 86400 };

/* A user's access at Google. */
struct grant {
    char *access_token, *refresh_token; /* NULL: none */
    int64_t expires_at_ms;              /* since 1970; 0: unknown */
    bool sealed;                        /* as it was read */
};

void grant_fini(struct grant *grant);

/* token_data's text, the original's unsealed forms too. ERR_INVALID when it is neither. */
MUST_CHECK enum err grant_open(const struct token_keys *keys, const char *user_id,
                               const char *token_data, struct grant *ret_grant);
/* token_data's text, sealed for this user; free() it. */
char *grant_seal(const struct token_keys *keys, const char *user_id, const struct grant *grant);

/* {id, email, name, picture} with every text of bearable length; `profile` may lack any. */
json_t *tokens_user(const char *user_id, const json_t *profile);

/* A token of ours for tokens_user's claims. free() it. */
MUST_CHECK enum err tokens_issue(const char *secret, const json_t *user, int64_t generation,
                                 int64_t now, char **ret_token);

/* A json column's value: NULL for none; JSON within a JSON text, as some writers of the original
 * left it, is unpacked. */
json_t *tokens_column(const char *text);

#endif
