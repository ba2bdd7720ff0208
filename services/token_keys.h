/* The keys that Google tokens are sealed with (crypto_seal), from the settings: shared by auth,
 * which seals, and the command line, which says what is sealed with what. Pure. */
#ifndef MCPBUS_SERVICES_TOKEN_KEYS_H
#define MCPBUS_SERVICES_TOKEN_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "libcommon/crypto.h"

enum { TOKEN_KEYS_MAX = 4 };

/* The first seals; all open. Beside TOKEN_ENCRYPTION_KEY and its second these are those that a
 * JWT_SECRET stands for: so what was sealed before a key of its own was set can still be read. */
struct token_keys {
    uint8_t keys[TOKEN_KEYS_MAX][CRYPTO_KEY_BYTES];
    char ids[TOKEN_KEYS_MAX][CRYPTO_KEY_ID_SIZE];
    const char *names[TOKEN_KEYS_MAX]; /* the setting that each comes from */
    size_t count;
};

/* What the settings say; each but jwt_secret may be NULL. */
struct token_secrets {
    const char *encryption_key, *encryption_key_previous, *jwt_secret, *jwt_secret_previous;
};

void token_keys_init(struct token_keys *keys, const struct token_secrets *secrets);
void token_keys_fini(struct token_keys *keys); /* wipes them */

#endif
