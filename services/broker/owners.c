/* Whose an instance is. Peers name their instance themselves, and answers and runs go by it: so it
 * stays with the key that greeted with it first, and for a while after it has gone. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/broker/internal.h"

enum { KEEP_MS = 600000, SWEEP_MS = 10000 };

struct owner {
    uint64_t instance;
    char key[BUS_KEY_TEXT_SIZE];
    int64_t seen;
};

static bool is_here(const struct broker *broker, const struct owner *owner)
{
    return map_get(broker->by_instance, &owner->instance, sizeof owner->instance) != NULL;
}

static void sweep(struct broker *broker, int64_t keep_ms)
{
    int64_t now = loop_now(broker->loop);
    size_t at = 0;
    struct owner *owner = NULL;
    while ((owner = map_next(broker->owners, &at))) {
        if (is_here(broker, owner)) {
            owner->seen = now;
        } else if (now - owner->seen >= keep_ms) {
            map_take(broker->owners, &owner->instance, sizeof owner->instance);
            free(owner);
        }
    }
}

bool owner_claims(struct broker *broker, uint64_t instance, const char *key)
{
    struct owner *owner = map_get(broker->owners, &instance, sizeof instance);
    if (!owner) {
        if (map_count(broker->owners) >= OWNERS_MAX)
            sweep(broker, 0);
        owner = mem_alloc(sizeof *owner);
        owner->instance = instance;
        memcpy(owner->key, key, strnlen(key, sizeof owner->key - 1));
        map_put(broker->owners, &owner->instance, sizeof owner->instance, owner);
    }
    owner->seen = loop_now(broker->loop);
    return strcmp(owner->key, key) == 0;
}

void owners_tick(struct broker *broker)
{
    int64_t now = loop_now(broker->loop);
    if (now - broker->owners_swept_at < SWEEP_MS)
        return;
    broker->owners_swept_at = now;
    sweep(broker, KEEP_MS);
}

void owners_free(struct broker *broker)
{
    size_t at = 0;
    struct owner *owner = NULL;
    while ((owner = map_next(broker->owners, &at)))
        free(owner);
    map_destroy(&broker->owners);
}
