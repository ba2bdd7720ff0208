/* A replica that can't work for now gives its place to the others. */
#include "libcommon/bus_internal.h"
#include "libcommon/log.h"

enum { PEERS_MAX = 64, PAUSE_MS = 5000 };

bool away_wants_none(const struct bus *bus)
{
    return bus->draining || bus->away;
}

void away_tell(struct bus_link *link)
{
    struct wire_message message;
    wire_init(&message);
    message.header = (struct proto_header){.type = PROTO_DRAIN,
                                           .instance = link->bus->instance,
                                           .credit = away_wants_none(link->bus) ? 0 : 1};
    link_send(link, &message);
}

static bool has_another(const struct bus *bus)
{
    uint64_t peers[PEERS_MAX];
    size_t count = bus_peers(bus, bus->service, peers, PEERS_MAX);
    for (size_t i = 0; i < count; i++)
        if (peers[i] != bus->instance)
            return true;
    return false;
}

/* Where the database is away for all, two replicas may leave at the same moment, each trusting in
 * the other. The pauses differ, so that they don't go on so. */
static int64_t pause_of(const struct bus *bus)
{
    return PAUSE_MS + (int64_t)(bus->instance % PAUSE_MS);
}

void bus_set_away(struct bus *bus, bool away)
{
    int64_t now = loop_now(bus->loop);
    bool wished = away;
    if (!bus->service || bus->draining)
        return;
    away = away && has_another(bus) && (bus->away || now >= bus->away_after);
    if (away == bus->away)
        return;
    bus->away = away;
    log_debug("bus_away", LOG_I("away", away));
    for (size_t i = 0; i < bus->link_count; i++)
        away_tell(&bus->links[i]);
    if (away)
        serve_give_back(bus);
    else if (wished)
        bus->away_after = now + pause_of(bus);
}
