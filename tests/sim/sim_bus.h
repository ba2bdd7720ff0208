/* Between sim_bus.c (the peers' side) and sim_broker.c. */
#ifndef MCPBUS_SIM_SIM_BUS_H
#define MCPBUS_SIM_SIM_BUS_H

#include <jansson.h>

#include "libcommon/bus.h"
#include "libcommon/js.h"
#include "proto/proto.h"
#include "tests/sim/sim.h"

struct call;

struct peer_list {
    size_t count;
    struct {
        char service[16];
        uint64_t instance;
    } items[];
};

struct sim_link {
    bool ready;
    uint64_t generation; /* counts greetings; what belongs to an older one is lost */
    int64_t silent_since;
    const struct peer_list *peers; /* the world's */
    uint64_t peers_version;
};

struct bus {
    struct instance *owner;
    struct loop *loop;
    struct bus_options options;
    char service[16], instance_text[17];
    uint64_t instance, next_id, next_seq;
    unsigned next_link;
    struct sim_link links[SIM_BROKERS];
    struct call *calls;
    size_t call_count;
    struct bus_call *serving;
    size_t serving_count;
    bool draining, closing, away, peers_pending;
    int64_t away_after;
    void (*peers_changed)(void *arg);
    void *peers_arg;
};

/* A message; the world's, as are its texts. */
struct packet {
    enum proto_type type;
    unsigned broker;
    struct instance *from, *to;
    uint64_t generation; /* of the link by which it left */
    uint64_t asker, seq;
    bool one_way, wants_none;
    char *method;
    char *body;
    int64_t ttl_ms;
    enum err status;
    int64_t retry_after_ms;
    const struct peer_list *peers;
    uint64_t version;
};

struct packet *packet_new(struct bus *bus, enum proto_type type, unsigned link, uint64_t seq);

/* The text of a message, in the world's memory. */
char *body_dump(const json_t *body);
char *body_take(struct buf *body);
/* What came, checked as it would be on the bus; `fields` may be NULL. */
json_t *body_parse(const struct packet *packet, const struct proto_field *fields);

void broker_send(struct packet *packet); /* from its peer to its broker */
void broker_greet(struct bus *bus);
void broker_goodbye(struct bus *bus);

void tell_broker(struct bus *bus, unsigned link);
void calls_on_answer(struct bus *bus, const struct packet *packet);
void calls_on_link_lost(struct bus *bus, unsigned link);
void calls_on_link_ready(struct bus *bus);
void serve_on_request(struct bus *bus, const struct packet *packet);
/* Answers all that is here with PEER_LOST. */
void serve_give_back(struct bus *bus);
void serve_release_all(struct bus *bus);
void serve_on_cancel(struct bus *bus, const struct packet *packet);
void peers_on_list(struct bus *bus, unsigned link, const struct peer_list *list);

#endif
