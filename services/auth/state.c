#include "services/auth/state.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

static const char *const contexts[] = {
    [STATE_SIGN_IN] = "oauth-state", [STATE_IDENTIFY] = "identify-state"};

void state_init(struct state *state, json_t *scopes, const char *origin, int64_t now)
{
    *state = (struct state){.scopes = json_incref(scopes),
                            .expires_at = now + STATE_LIFE_S,
                            .origin = mem_strdup_opt(origin)};
    uint8_t random[32];
    crypto_random(random, sizeof(random));
    AUTOFREE char *verifier = crypto_base64url_encode(random, sizeof(random));
    memcpy(state->verifier, verifier, sizeof(state->verifier));
    crypto_uuid4(state->user_id);
    crypto_uuid4(state->nonce);
}

void state_fini(struct state *state)
{
    json_decref(state->scopes);
    free(state->origin);
    *state = (struct state){.scopes = NULL};
}

char *state_seal(const struct state *state, enum state_purpose purpose,
                 const uint8_t key[CRYPTO_KEY_BYTES])
{
    AUTOJSON json_t *body =
        json_pack("{s:O, s:s, s:s, s:s, s:I, s:s*}", "scopes", state->scopes, "verifier",
                  state->verifier, "user_id", state->user_id, "nonce", state->nonce, "exp",
                  (json_int_t)state->expires_at, "origin", state->origin);
    AUTOFREE char *text = js_dump(body);
    return crypto_seal(key, contexts[purpose], text, strlen(text));
}

static bool copy_text(const json_t *body, const char *name, char *ret_text, size_t size)
{
    const char *text = js_str(body, name, "");
    if (strlen(text) != size - 1)
        return false;
    memcpy(ret_text, text, size);
    return true;
}

enum err state_open(const char *sealed, enum state_purpose purpose,
                    const uint8_t key[CRYPTO_KEY_BYTES], int64_t now, struct state *ret_state)
{
    AUTOFREE char *text = NULL;
    size_t len;
    if (strlen(sealed) > STATE_MAX_BYTES ||
        crypto_open(key, contexts[purpose], sealed, &text, &len))
        return ERR_INVALID;
    AUTOJSON json_t *body = NULL;
    if (js_parse(text, len, &body, NULL))
        return ERR_INVALID;
    struct state state = {.scopes = json_object_get(body, "scopes"),
                          .expires_at = js_int(body, "exp", 0)};
    if (!json_is_array(state.scopes) ||
        !copy_text(body, "verifier", state.verifier, sizeof(state.verifier)) ||
        !copy_text(body, "user_id", state.user_id, sizeof(state.user_id)) ||
        !copy_text(body, "nonce", state.nonce, sizeof(state.nonce)))
        return ERR_INVALID;
    if (state.expires_at <= now)
        return ERR_EXPIRED;
    json_incref(state.scopes);
    state.origin = mem_strdup_opt(js_str(body, "origin", NULL));
    *ret_state = state;
    return ERR_OK;
}

char *state_challenge(const struct state *state)
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    crypto_sha256(state->verifier, strlen(state->verifier), digest);
    return crypto_base64url_encode(digest, sizeof(digest));
}
