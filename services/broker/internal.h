/* What the parts of the broker share: peers (peers.c), requests under way (flights.c), routing
 * (broker.c), keys (keys.c, zap.c), whose an instance is (owners.c), what one key may take up
 * (shares.c), ending connections (cuts.c), memory (memory.c). */
#ifndef MCPBUS_BROKER_INTERNAL_H
#define MCPBUS_BROKER_INTERNAL_H

#include <netinet/in.h>

#include "libcommon/bus_keys.h"
#include "libcommon/bus_wire.h"
#include "libcommon/loop.h"
#include "libcommon/map.h"
#include "services/broker/broker.h"

enum {
    PEERS_MAX = 10000,
    FLIGHTS_MAX = 200000,
    OUT_MAX_MESSAGES = 8192,
    OUT_MAX_BYTES = 64 * 1024 * 1024,
    OWNERS_MAX = 2 * PEERS_MAX,
    SHARE_PEERS_MAX = PEERS_MAX / 2,
    SHARE_FLIGHTS_MAX = FLIGHTS_MAX / 2,
    CUTS_MAX = 256,
};

/* A connection, as the system knows it: its descriptor is libzmq's and may be another's by now. */
struct connection {
    int fd; /* −1: unknown */
    struct sockaddr_in6 peer;
};

struct cut {
    struct connection connection;
    int64_t at;
};

struct out_message {
    struct wire_message message;
    struct out_message *next;
};

/* What the peers of one key have, so that they can't take everything. */
struct share {
    char key[BUS_KEY_TEXT_SIZE];
    size_t peers, flights;
};

struct peer {
    zmq_msg_t route;
    uint64_t instance;
    char service[65]; /* "" when it only calls */
    char key[BUS_KEY_TEXT_SIZE];
    const struct bus_cert *cert; /* NULL: plain */
    struct share *share;         /* likewise */
    struct connection connection;
    uint32_t limit, sent;
    int64_t last_received, last_sent;
    size_t flights; /* that it has asked for or is to answer */
    bool draining, dead;
    bool told;                               /* the newest list of services */
    unsigned pings;                          /* that it has not answered */
    bool asked_last;                         /* a PING is behind all answers that it was sent */
    struct out_message *out_head, *out_tail; /* what its pipe could not take yet */
    size_t out_count, out_bytes;
};

struct flight_key {
    uint64_t instance, seq;
};

/* A request that was passed on and not yet answered. */
struct flight {
    struct flight_key key;
    struct peer *caller, *server;
    uint32_t parts;
    int64_t expires;
    int64_t started_us;
};

struct broker {
    struct loop *loop;
    void *context, *socket, *zap;
    int fd, zap_fd;
    bool plain;
    char *key_folder;
    struct bus_keys *keys; /* NULL: plain */
    uint64_t keys_stamp;
    int64_t memory_mib; /* 0: no limit */
    int64_t keys_looked_at, owners_swept_at, noted_at;
    struct map *owners; /* by instance */
    struct map *shares; /* by key */
    struct cut cuts[CUTS_MAX];
    size_t cut_count;
    unsigned notes[2]; /* lines of audit, since noted_at, on strangers and on known keys */
    unsigned comings;  /* likewise, of who comes and goes */
    char endpoint[256];
    uint64_t instance;
    struct map *peers;       /* by routing id */
    struct map *by_instance; /* the same, by instance */
    struct map *flights;
    struct loop_timer *tick, *news;
    int64_t announced_at;
    char *announced; /* the newest list of services */
    bool deaths, peers_changed, draining;
    size_t waiting;      /* messages in out queues */
    size_t bad_messages; /* since the last tick */
};

/* keys.c */
MUST_CHECK enum err keys_open(struct broker *broker, const struct broker_options *options,
                              char ret_why[BUS_WHY_SIZE]);
void keys_close(struct broker *broker);
/* Reads the folder again if it has changed; not more often than every `pause_ms`. What the peers
 * may do follows at once; those that may nothing any more are cut off. */
void keys_look(struct broker *broker, int64_t pause_ms);
/* The certificate of a key that may connect; NULL: it may not. */
const struct bus_cert *keys_admitted(struct broker *broker, const char *public_key);
/* May another line of audit be written? A flood of refusals must not fill the log, nor one of
 * strangers hide what a known key does. */
bool audit_note(struct broker *broker, bool known);
/* May another line say who has come or gone? */
bool comings_note(struct broker *broker);
void audit_tick(struct broker *broker);

/* zap.c */
MUST_CHECK enum err zap_open(struct broker *broker);
void zap_close(struct broker *broker);
/* Answers libzmq's questions whether a key may connect; true when there were any. */
bool zap_turn(struct broker *broker);

/* owners.c */
/* An instance belongs to the key that greeted with it first; false: to another than this. */
MUST_CHECK bool owner_claims(struct broker *broker, uint64_t instance, const struct bus_cert *cert);
void owners_tick(struct broker *broker);
void owners_free(struct broker *broker);

/* shares.c */
/* Counts a connection of a key; NULL: it has too many. */
MUST_CHECK struct share *share_join(struct broker *broker, const char *key);
void share_leave(struct broker *broker, struct share **share_p);
void shares_free(struct broker *broker);

/* cuts.c */
struct connection connection_of(struct wire_message *message);
/* Ends a connection, a moment later: what was sent to it last may leave. */
void cut_later(struct broker *broker, const struct connection *connection);
void cuts_tick(struct broker *broker);

/* memory.c */
/* Ends the process when it has grown beyond what it may have. */
void memory_tick(const struct broker *broker);

/* peers.c */
struct peer *peer_find(const struct broker *broker, zmq_msg_t *route);
void peer_hello(struct broker *broker, struct wire_message *hello);
/* Sends or queues; the message becomes empty. A peer that lets too much gather is marked dead and
 * goes at the next peers_reap. */
void peer_send(struct broker *broker, struct peer *peer, struct wire_message *message);
void peer_send_plain(struct broker *broker, struct peer *peer, enum proto_type type);
/* That this broker is about to end; the PING's answer shows that it has been read. */
void peer_tell_draining(struct broker *broker, struct peer *peer);
/* Without a peer: tells a stranger to greet. */
void route_send_plain(struct broker *broker, zmq_msg_t *route, enum proto_type type);
/* Tells why, and ends the connection. */
void peer_refuse(struct broker *broker, struct peer *peer, const char *why);
void peer_mark_dead(struct broker *broker, struct peer *peer);
/* The replica of a service with the most credit left; `instance` 0: any. ERR_NO_SERVICE or
 * ERR_OVERLOADED otherwise. */
MUST_CHECK enum err peer_choose(const struct broker *broker, const char *service, uint64_t instance,
                                struct peer **ret_peer);
/* Takes out the dead, with what was under way there; sees to it that the others are told when the
 * list has changed. */
void peers_settle(struct broker *broker);
void peers_announce(void *broker);
void peers_flush(struct broker *broker);
void peers_tick(struct broker *broker);
void peers_free(struct broker *broker);

/* counts.c: the metrics. */
void counts_begin(struct broker *broker);
void counts_end(struct broker *broker);
void count_message(enum proto_type type, bool one_way);
/* A request that the broker itself has refused, or a one-way message that found no room. */
void count_refused(enum err error);
void count_dropped(void);
void count_answered(const struct flight *flight);

/* flights.c */
MUST_CHECK enum err flight_begin(struct broker *broker, const struct proto_header *request,
                                 struct peer *caller, struct peer *server);
struct flight *flight_find(const struct broker *broker, uint64_t instance, uint64_t seq);
void flight_end(struct broker *broker, struct flight *flight);
/* The broker's own answer: why there will be none. */
void flight_refuse(struct broker *broker, struct peer *caller, uint64_t seq, uint32_t parts,
                   enum err error);
void flights_peer_lost(struct broker *broker, struct peer *peer);
void flights_expire(struct broker *broker);
void flights_free(struct broker *broker);

#endif
