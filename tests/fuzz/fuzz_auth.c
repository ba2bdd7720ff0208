/* What a browser brings back as OAuth's `state`, and what a row of user_sessions may hold (the
 * original's forms, a restored dump): no input passes as sealed without the key, what was sealed is
 * read or refused, and a grant that is read can be sealed again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/auth/scopes.h"
#include "services/auth/state.h"
#include "services/auth/tokens.h"

static const uint8_t key[CRYPTO_KEY_BYTES] = "a key of the fuzzer's own, alone";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_state(const char *text)
{
    struct state state;
    if (state_open(text, STATE_SIGN_IN, key, 1000, &state) == ERR_OK)
        abort(); /* the fuzzer can't know the key */
}

/* The input as what is sealed, so that what comes after the seal is reached. */
static void open_sealed(const char *text, size_t len)
{
    struct state state;
    if (len > STATE_MAX_BYTES / 2)
        return;
    AUTOFREE char *sealed = crypto_seal(key, "oauth-state", text, len);
    if (state_open(sealed, STATE_SIGN_IN, key, 1000, &state) == ERR_OK)
        state_fini(&state);
}

static void read_grant(const struct token_keys *keys, const char *text)
{
    struct grant grant, again;
    if (grant_open(keys, "user", text, &grant))
        return;
    if (grant.sealed)
        abort();
    AUTOFREE char *sealed = grant_seal(keys, "user", &grant);
    if (grant_open(keys, "user", sealed, &again) || !again.sealed)
        abort();
    grant_fini(&grant);
    grant_fini(&again);
}

static void read_scopes(const char *text)
{
    AUTOJSON json_t *value = tokens_column(text), *names = NULL;
    AUTOFREE char *why = NULL;
    if (!value || scopes_check(value, &names, &why))
        return;
    json_decref(scopes_granted(names, value));
    json_decref(tokens_user("user", value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct token_keys keys;
    if (!keys.count)
        token_keys_init(&keys, &(struct token_secrets){.jwt_secret = "a secret of the fuzzer's"});
    AUTOFREE char *text = mem_strndup((const char *)data, size);
    open_state(text);
    open_sealed(text, strlen(text));
    read_grant(&keys, text);
    read_scopes(text);
    return 0;
}
