/* Whose an instance is. Peers name their instance themselves, and answers and runs go by it: so it
 * stays with the key that greeted with it first, and for a while after it has gone. A key's
 * successor in a rotation, which has its role and name by the broker's own certificate, is the same
 * owner. To a broker that has just begun everybody is the first, so mcpbus's own roles come before
 * a client that was quicker: all peers know the instances of services. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/broker/internal.h"

enum { KEEP_MS = 600000, SWEEP_MS = 10000 };

struct owner {
    uint64_t instance;
    enum proto_role role;
    char name[BUS_CERT_NAME_SIZE];
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

static void give_to(struct owner *owner, const struct bus_cert *cert)
{
    owner->role = cert->role;
    memcpy(owner->name, cert->name, sizeof owner->name);
}

bool owner_claims(struct broker *broker, uint64_t instance, const struct bus_cert *cert)
{
    struct owner *owner = map_get(broker->owners, &instance, sizeof instance);
    if (!owner) {
        if (map_count(broker->owners) >= OWNERS_MAX)
            sweep(broker, 0);
        owner = mem_alloc(sizeof *owner);
        owner->instance = instance;
        give_to(owner, cert);
        map_put(broker->owners, &owner->instance, sizeof owner->instance, owner);
    }
    if (owner->role == PROTO_ROLE_CLIENT && cert->role != PROTO_ROLE_CLIENT)
        give_to(owner, cert);
    bool claimed = owner->role == cert->role && strcmp(owner->name, cert->name) == 0;
    if (claimed)
        owner->seen = loop_now(broker->loop);
    return claimed;
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
