#include "services/token_keys.h"

#include <string.h>

static void add(struct token_keys *keys, const char *name, const char *secret)
{
    if (!secret)
        return;
    crypto_derive_key(secret, "mcpbus google tokens", keys->keys[keys->count]);
    crypto_key_id(keys->keys[keys->count], keys->ids[keys->count]);
    keys->names[keys->count++] = name;
}

void token_keys_init(struct token_keys *keys, const struct token_secrets *secrets)
{
    memset(keys, 0, sizeof(*keys));
    add(keys, "TOKEN_ENCRYPTION_KEY", secrets->encryption_key);
    if (!secrets->encryption_key)
        add(keys, "JWT_SECRET", secrets->jwt_secret);
    add(keys, "TOKEN_ENCRYPTION_KEY_PREVIOUS", secrets->encryption_key_previous);
    if (secrets->encryption_key)
        add(keys, "JWT_SECRET", secrets->jwt_secret);
    add(keys, "JWT_SECRET_PREVIOUS", secrets->jwt_secret_previous);
}

void token_keys_fini(struct token_keys *keys)
{
    explicit_bzero(keys, sizeof(*keys));
}
