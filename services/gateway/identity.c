#include "services/gateway/identity.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/jwt.h"
#include "libcommon/mem.h"

enum { WAYS = 4, SETS = IDENTITY_SLOTS / WAYS };

struct slot {
    uint64_t hash, used; /* used: counts the finds; the lowest has been unused the longest */
    struct identity *identity;
    char *token;
    size_t len;
};

struct identities {
    char *secret, *previous;
    uint64_t seed[2], finds;
    struct slot slots[SETS][WAYS];
};

struct identities *identities_new(const char *secret, const char *previous)
{
    struct identities *identities = mem_alloc(sizeof(*identities));
    identities->secret = mem_strdup(secret);
    identities->previous = mem_strdup_opt(previous);
    crypto_random(identities->seed, sizeof(identities->seed));
    return identities;
}

void identity_release(struct identity *identity)
{
    if (!identity || --identity->references > 0)
        return;
    json_decref(identity->claims);
    free(identity->me);
    free(identity);
}

static void clear(struct slot *slot)
{
    identity_release(slot->identity);
    mem_free_secret(&slot->token);
    *slot = (struct slot){0};
}

void identities_destroy(struct identities **identities_p)
{
    struct identities *identities = *identities_p;
    if (!identities)
        return;
    *identities_p = NULL;
    for (size_t i = 0; i < SETS; i++)
        for (size_t j = 0; j < WAYS; j++)
            clear(&identities->slots[i][j]);
    mem_free_secret(&identities->secret);
    mem_free_secret(&identities->previous);
    free(identities);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_of(const struct identities *identities, const char *token, size_t len)
{
    uint64_t hash = identities->seed[0] ^ len, word = 0;
    for (; len >= sizeof(word); token += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, token, sizeof(word));
        hash = mix(hash ^ word, identities->seed[1] | 1);
    }
    word = 0;
    memcpy(&word, token, len);
    return mix(hash ^ word, identities->seed[0] | 1);
}

/* memcmp may take its time by where the texts differ: it sees none but those whose hash under the
 * secret seed is the same. */
static struct slot *find(struct slot *set, const char *token, size_t len, uint64_t hash)
{
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].identity && set[i].hash == hash && set[i].len == len &&
            memcmp(set[i].token, token, len) == 0)
            return &set[i];
    return NULL;
}

static struct slot *room(struct slot *set)
{
    struct slot *slot = &set[0];
    for (size_t i = 1; i < WAYS; i++)
        if (set[i].used < slot->used)
            slot = &set[i];
    clear(slot);
    return slot;
}

/* jwt_door_verify has found it to have passed; a clock may go back. */
static int64_t not_before(const json_t *claims)
{
    double nbf = json_number_value(json_object_get(claims, "nbf"));
    return nbf > 0 ? (int64_t)nbf : 0;
}

static struct identity *identity_new(json_t *claims)
{
    struct identity *identity = mem_alloc(sizeof(*identity));
    identity->claims = claims;
    identity->user_id = js_str(claims, "id", "");
    identity->generation = js_int(claims, "gen", -1);
    identity->expires_at = js_int(claims, "exp", 0);
    identity->not_before = not_before(claims);
    identity->references = 1;
    return identity;
}

static bool is_timely(const struct identity *identity, int64_t now_s)
{
    return identity->expires_at > now_s && identity->not_before <= now_s;
}

static enum err verify(const struct identities *identities, const char *token, size_t len,
                       int64_t now_s, struct identity **ret_identity)
{
    json_t *claims = NULL;
    const char *const secrets[] = {identities->secret, identities->previous, NULL};
    enum err err = jwt_door_verify_any(secrets, token, len, now_s, &claims);
    if (!err)
        *ret_identity = identity_new(claims);
    return err;
}

enum err identities_find(struct identities *identities, const char *token, int64_t now_s,
                         struct identity **ret_identity)
{
    size_t len = strlen(token);
    if (len > IDENTITY_TOKEN_MAX)
        return verify(identities, token, len, now_s, ret_identity);
    uint64_t hash = hash_of(identities, token, len);
    struct slot *set = identities->slots[hash % SETS];
    struct slot *slot = find(set, token, len, hash);
    if (slot && !is_timely(slot->identity, now_s)) {
        clear(slot);
        slot = NULL;
    }
    if (!slot) {
        struct identity *identity = NULL;
        enum err err = verify(identities, token, len, now_s, &identity);
        if (err)
            return err;
        slot = room(set);
        *slot = (struct slot){hash, 0, identity, mem_strndup(token, len), len};
    }
    slot->used = ++identities->finds;
    slot->identity->references++;
    *ret_identity = slot->identity;
    return ERR_OK;
}
