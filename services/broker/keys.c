/* The key folder: who may connect, and with which rights. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/broker/internal.h"
#include "services/broker/policy.h"

enum { NOTES_MAX = 20, COMINGS_MAX = 500, NOTES_MS = 1000, SMALL = 100, LARGE_PAUSE_MS = 100 };

bool audit_note(struct broker *broker, bool known)
{
    return broker->notes[known]++ < NOTES_MAX;
}

bool comings_note(struct broker *broker)
{
    return broker->comings++ < COMINGS_MAX;
}

void audit_tick(struct broker *broker)
{
    int64_t now = loop_now(broker->loop);
    if (now - broker->noted_at < NOTES_MS)
        return;
    broker->noted_at = now;
    for (int known = 0; known < 2; known++) {
        if (broker->notes[known] > NOTES_MAX)
            log_warning("refusals_more", LOG_S("of", known ? "known keys" : "strangers"),
                        LOG_I("count", broker->notes[known] - NOTES_MAX));
        broker->notes[known] = 0;
    }
    if (broker->comings > COMINGS_MAX)
        log_warning("comings_more", LOG_I("count", broker->comings - COMINGS_MAX));
    broker->comings = 0;
}

static void use(struct broker *broker, struct bus_keys *keys)
{
    size_t at = 0;
    struct peer *peer = NULL;
    while ((peer = map_next(broker->peers, &at))) {
        peer->cert = bus_keys_find(keys, peer->key);
        if (!peer->dead && (!peer->cert || !policy_may_connect(peer->cert)))
            peer_refuse(broker, peer, "its key has been removed");
        else if (!peer->dead && *peer->service && !policy_may_serve(peer->cert, peer->service))
            peer_refuse(broker, peer, "its key may not serve this any more");
    }
    bus_keys_destroy(&broker->keys);
    broker->keys = keys;
    const char *complaint = bus_keys_complaint(keys);
    log_info("keys_read", LOG_I("count", bus_keys_count(keys)));
    if (complaint)
        log_warning("key_unusable", LOG_S("file", complaint));
}

static void reload(struct broker *broker, uint64_t stamp)
{
    struct bus_keys *keys = NULL;
    char why[BUS_WHY_SIZE] = "";
    broker->keys_stamp = stamp;
    if (bus_keys_load(broker->key_folder, &keys, why) == ERR_OK)
        use(broker, keys);
    else
        log_error("keys_unreadable", LOG_S("reason", why));
}

void keys_look(struct broker *broker, int64_t pause_ms)
{
    int64_t now = loop_now(broker->loop);
    if (broker->plain || now - broker->keys_looked_at < pause_ms)
        return;
    broker->keys_looked_at = now;
    uint64_t stamp = bus_keys_stamp(broker->key_folder);
    if (stamp != broker->keys_stamp)
        reload(broker, stamp);
}

const struct bus_cert *keys_admitted(struct broker *broker, const char *public_key)
{
    const struct bus_cert *cert = bus_keys_find(broker->keys, public_key);
    if (!cert) { /* it may have come this moment; to look costs less than the handshake did */
        keys_look(broker, bus_keys_count(broker->keys) > SMALL ? LARGE_PAUSE_MS : 0);
        cert = bus_keys_find(broker->keys, public_key);
    }
    return cert && policy_may_connect(cert) ? cert : NULL;
}

enum err keys_open(struct broker *broker, const struct broker_options *options,
                   char ret_why[BUS_WHY_SIZE])
{
    broker->key_folder = mem_strdup(options->keys);
    broker->keys_stamp = bus_keys_stamp(options->keys);
    return bus_keys_load(options->keys, &broker->keys, ret_why) == ERR_OK ? ERR_OK : ERR_DENIED;
}

void keys_close(struct broker *broker)
{
    bus_keys_destroy(&broker->keys);
    free(broker->key_folder);
}
