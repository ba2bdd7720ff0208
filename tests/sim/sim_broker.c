/* The brokers, and the ways to them: messages that are late, come twice or not at all; peers that
 * are found dead after seconds of silence; brokers that die and come back knowing nobody. */
#include <string.h>

#include "tests/sim/sim_bus.h"

enum { DEAD_AFTER = 3 * SIM_SECOND };

struct flight {
    struct flight *next;
    uint64_t asker, seq;
    struct instance *caller, *server;
};

struct peer {
    bool known, draining;
    uint64_t instance, generation;
    char service[16];
    int64_t silent_since; /* 0: it is heard */
    uint64_t told;        /* version of the list that left for it */
};

static struct broker {
    bool up;
    uint64_t epoch, version;
    struct peer peers[SIM_INSTANCES_MAX];
    struct flight *flights;
    const struct peer_list *list;
} brokers[SIM_BROKERS];

static int64_t travel(void)
{
    if (sim_chance(sim.faults.late))
        return sim_range(20 * SIM_MS, 6 * SIM_SECOND);
    return sim_chance(20000) ? sim_range(SIM_MS, 30 * SIM_MS) : sim_range(40, 400);
}

/* Whether bytes pass now. A frozen peer's bytes wait for it. */
static bool connects(unsigned broker, const struct instance *instance)
{
    return brokers[broker].up && instance->alive && !instance->cut[broker];
}

static void on_peer(void *arg)
{
    struct packet *packet = arg;
    struct bus *bus = packet->to->service.bus;
    if (!bus)
        return;
    switch (packet->type) {
    case PROTO_REQUEST:
        serve_on_request(bus, packet);
        break;
    case PROTO_FINAL:
        calls_on_answer(bus, packet);
        break;
    case PROTO_CANCEL:
        serve_on_cancel(bus, packet);
        break;
    case PROTO_PEERS:
        if (bus->links[packet->broker].ready &&
            packet->version > bus->links[packet->broker].peers_version) {
            bus->links[packet->broker].peers_version = packet->version;
            peers_on_list(bus, packet->broker, packet->peers);
        }
        break;
    default:
        break;
    }
}

/* From the broker to a peer. */
static void forward(const struct packet *packet, struct instance *to)
{
    bool may_fail = packet->type != PROTO_PEERS;
    for (int copies = may_fail && sim_chance(sim.faults.twice) ? 2 : 1; copies > 0; copies--) {
        if (!connects(packet->broker, to) || (may_fail && sim_chance(sim.faults.drop)))
            continue;
        struct packet *copy = sim_new(sizeof *copy);
        *copy = *packet;
        copy->to = to;
        sim_at(to, travel(), on_peer, copy);
    }
}

static void refuse(const struct packet *packet, struct instance *caller, enum err status)
{
    struct packet answer = {.type = PROTO_FINAL,
                            .broker = packet->broker,
                            .asker = packet->asker,
                            .seq = packet->seq,
                            .status = status};
    forward(&answer, caller);
}

static bool serves(const struct peer *peer, const struct proto_target *target)
{
    return peer->known && !strcmp(peer->service, target->service) &&
           (target->reach != PROTO_ONE || target->instance == peer->instance);
}

static struct instance *choose(const struct broker *broker, const struct proto_target *target)
{
    struct instance *found[SIM_INSTANCES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < sim.instance_count; i++)
        if (serves(&broker->peers[i], target) && !broker->peers[i].draining)
            found[count++] = sim.instances[i];
    return count ? found[sim_random() % count] : NULL;
}

static void on_one_way(struct broker *broker, const struct packet *packet,
                       const struct proto_target *target)
{
    struct instance *one = NULL;
    if (target->reach == PROTO_ANY) {
        one = choose(broker, target);
        if (one)
            forward(packet, one);
        return;
    }
    for (size_t i = 0; i < sim.instance_count; i++)
        if (serves(&broker->peers[i], target))
            forward(packet, sim.instances[i]);
}

static void on_request(struct broker *broker, struct packet *packet)
{
    struct proto_target target;
    if (proto_target_parse(packet->method, strlen(packet->method), &target)) {
        sim_fail("no target: %s", packet->method);
        return;
    }
    if (packet->one_way) {
        on_one_way(broker, packet, &target);
        return;
    }
    struct instance *server = choose(broker, &target);
    if (!server) {
        refuse(packet, packet->from, ERR_NO_SERVICE);
        return;
    }
    struct flight *flight = sim_new(sizeof *flight);
    *flight = (struct flight){broker->flights, packet->asker, packet->seq, packet->from, server};
    broker->flights = flight;
    forward(packet, server);
}

static void on_answer(struct broker *broker, const struct packet *packet)
{
    for (struct flight **at = &broker->flights; *at; at = &(*at)->next) {
        struct flight *flight = *at;
        if (flight->asker != packet->asker || flight->seq != packet->seq ||
            flight->server != packet->from)
            continue;
        *at = flight->next;
        if (flight->caller)
            forward(packet, flight->caller);
        return;
    }
}

static void on_cancel(struct broker *broker, const struct packet *packet)
{
    for (const struct flight *flight = broker->flights; flight; flight = flight->next)
        if (flight->asker == packet->asker && flight->seq == packet->seq)
            forward(packet, flight->server);
}

/* A list that can't pass now is not lost: it waits in the connection. */
static void tell_peers(unsigned index, struct instance *instance)
{
    struct broker *broker = &brokers[index];
    struct peer *peer = &broker->peers[instance->index];
    if (!peer->known || peer->told == broker->version || !connects(index, instance))
        return;
    peer->told = broker->version;
    struct packet packet = {
        .type = PROTO_PEERS, .broker = index, .peers = broker->list, .version = broker->version};
    forward(&packet, instance);
}

/* Who serves what, to everyone. */
static void announce(unsigned index)
{
    struct broker *broker = &brokers[index];
    struct peer_list *list = sim_new(sizeof *list + sim.instance_count * sizeof list->items[0]);
    for (size_t i = 0; i < sim.instance_count; i++) {
        const struct peer *peer = &broker->peers[i];
        if (!peer->known || peer->draining || !*peer->service)
            continue;
        memcpy(list->items[list->count].service, peer->service, sizeof peer->service);
        list->items[list->count++].instance = peer->instance;
    }
    broker->list = list;
    broker->version++;
    for (size_t i = 0; i < sim.instance_count; i++)
        tell_peers(index, sim.instances[i]);
}

/* The broker gives a peer up: what it had to answer has an unknown outcome. */
static void drop_peer(unsigned index, struct instance *instance)
{
    struct broker *broker = &brokers[index];
    broker->peers[instance->index].known = false;
    for (struct flight **at = &broker->flights; *at;) {
        struct flight *flight = *at;
        if (flight->caller == instance)
            flight->caller = NULL;
        if (flight->server != instance) {
            at = &flight->next;
            continue;
        }
        *at = flight->next;
        struct packet lost = {.broker = index, .asker = flight->asker, .seq = flight->seq};
        if (flight->caller)
            refuse(&lost, flight->caller, ERR_PEER_LOST);
    }
    announce(index);
}

static void at_broker(void *arg)
{
    struct packet *packet = arg;
    struct broker *broker = &brokers[packet->broker];
    struct peer *peer = &broker->peers[packet->from->index];
    if (!broker->up || packet->from->cut[packet->broker] || !peer->known ||
        peer->generation != packet->generation)
        return;
    if (packet->type == PROTO_REQUEST) {
        on_request(broker, packet);
    } else if (packet->type == PROTO_FINAL) {
        on_answer(broker, packet);
    } else if (packet->type == PROTO_CANCEL) {
        on_cancel(broker, packet);
    } else if (packet->type == PROTO_DRAIN) {
        peer->draining = packet->wants_none;
        announce(packet->broker);
    } else if (packet->type == PROTO_DISCONNECT) {
        drop_peer(packet->broker, packet->from);
    }
}

void broker_send(struct packet *packet)
{
    struct instance *from = packet->from;
    if ((from->dying && sim_chance(500000)) || sim_chance(sim.faults.drop))
        return;
    int64_t delay = travel();
    /* What passes at once is what counts: a way that is cut later loses nothing that left. */
    if (connects(packet->broker, from))
        sim_at(NULL, delay, at_broker, packet);
}

static void on_welcome(void *arg)
{
    struct packet *packet = arg;
    struct bus *bus = packet->to->service.bus;
    struct sim_link *link = bus ? &bus->links[packet->broker] : NULL;
    if (!link || link->ready || link->generation != packet->generation)
        return;
    link->ready = true;
    if (bus->draining || bus->away)
        tell_broker(bus, packet->broker);
    sim_trace("link %u is ready", packet->broker);
    calls_on_link_ready(bus);
}

static void announce_later(void *arg)
{
    struct broker *broker = arg;
    if (broker->up)
        announce((unsigned)(broker - brokers));
}

static void hello(void *arg)
{
    struct packet *packet = arg;
    struct broker *broker = &brokers[packet->broker];
    struct instance *from = packet->from;
    struct bus *bus = from->alive ? from->service.bus : NULL;
    if (!bus || !connects(packet->broker, from) ||
        bus->links[packet->broker].generation != packet->generation)
        return;
    if (broker->peers[from->index].known)
        drop_peer(packet->broker, from); /* an older greeting's */
    struct peer *peer = &broker->peers[from->index];
    *peer =
        (struct peer){.known = true, .instance = bus->instance, .generation = packet->generation};
    memcpy(peer->service, bus->service, sizeof peer->service);
    packet->to = from;
    sim_at(from, sim_range(100, SIM_MS), on_welcome, packet);
    sim_at(NULL, 2 * SIM_MS, announce_later, broker);
}

static void greet(struct bus *bus, unsigned link)
{
    bus->links[link].generation++;
    bus->links[link].silent_since = 0;
    struct packet *packet = packet_new(bus, PROTO_HELLO, link, 0);
    if (connects(link, bus->owner))
        sim_at(NULL, sim_range(100, 3 * SIM_MS), hello, packet);
}

void broker_greet(struct bus *bus)
{
    for (unsigned i = 0; i < SIM_BROKERS; i++)
        greet(bus, i);
}

void broker_goodbye(struct bus *bus)
{
    for (unsigned i = 0; i < SIM_BROKERS; i++) {
        if (bus->links[i].ready)
            broker_send(packet_new(bus, PROTO_DISCONNECT, i, 0));
        bus->links[i].ready = false;
    }
}

static void on_lost(void *arg)
{
    struct packet *packet = arg;
    struct bus *bus = packet->to->service.bus;
    struct sim_link *link = bus ? &bus->links[packet->broker] : NULL;
    if (!link || link->generation != packet->generation)
        return;
    if (link->ready) {
        sim_trace("link %u is lost", packet->broker);
        link->ready = false;
        calls_on_link_lost(bus, packet->broker);
        peers_on_list(bus, packet->broker, NULL);
        link->peers_version = 0;
    }
    greet(bus, packet->broker);
}

static void lose_link(struct bus *bus, unsigned link, int64_t delay)
{
    struct packet *packet = packet_new(bus, PROTO_DISCONNECT, link, 0);
    packet->to = bus->owner;
    sim_at(bus->owner, delay, on_lost, packet);
}

/* The heartbeats between a broker and a peer, seen from both sides. */
static void watch(unsigned index, struct instance *instance)
{
    struct peer *peer = &brokers[index].peers[instance->index];
    bool heard = connects(index, instance) && !instance->frozen;
    if (peer->known && heard) {
        peer->silent_since = 0;
        tell_peers(index, instance);
    } else if (peer->known && !peer->silent_since) {
        peer->silent_since = sim.now;
    } else if (peer->known && sim.now - peer->silent_since > DEAD_AFTER) {
        drop_peer(index, instance);
    }
    struct bus *bus = instance->alive && !instance->frozen ? instance->service.bus : NULL;
    struct sim_link *link = bus ? &bus->links[index] : NULL;
    if (!link)
        return;
    bool mutual = peer->known && peer->generation == link->generation;
    int64_t patience = !link->ready ? SIM_SECOND / 4 : heard ? 0 : DEAD_AFTER;
    bool wants_none = bus->draining || bus->away;
    if (heard && mutual && link->ready && peer->draining != wants_none) {
        /* On a connection that lives this is never lost, only late. */
        peer->draining = wants_none;
        announce(index);
    }
    if (heard && mutual)
        link->silent_since = 0;
    else if (!link->silent_since)
        link->silent_since = sim.now;
    else if (sim.now - link->silent_since > patience)
        lose_link(bus, index, sim_range(0, SIM_MS));
}

void sim_bus_tick(void)
{
    for (unsigned i = 0; i < SIM_BROKERS; i++)
        for (size_t n = 0; n < sim.instance_count; n++)
            watch(i, sim.instances[n]);
}

void sim_broker_set(unsigned broker, bool up)
{
    struct broker *b = &brokers[broker];
    if (b->up == up)
        return;
    sim_trace("broker %u is %s", broker, up ? "up" : "down");
    b->up = up;
    b->epoch++;
    b->flights = NULL;
    memset(b->peers, 0, sizeof b->peers);
}

void sim_bus_begin(void)
{
    memset(brokers, 0, sizeof brokers);
    for (unsigned i = 0; i < SIM_BROKERS; i++)
        brokers[i].up = true;
}
