/* What the parts of the bus share: links (bus_link.c), their keys (bus_secure.c), calls out
 * (bus_calls.c), calls in (bus_serve.c), the peers known (bus_peers.c). */
#ifndef MCPBUS_BUS_INTERNAL_H
#define MCPBUS_BUS_INTERNAL_H

#include "libcommon/bus.h"
#include "libcommon/bus_resolve.h"
#include "libcommon/bus_wire.h"
#include "libcommon/map.h"

enum {
    BUS_LINKS_MAX = 16,
    BUS_RECV_BUDGET = 256,
    BUS_OUT_MAX_MESSAGES = 8192,
    BUS_OUT_MAX_BYTES = 64 * 1024 * 1024,
    BUS_CALLS_MAX = 100000,
};

enum link_state { LINK_CONNECTING, LINK_GREETED, LINK_READY };

struct out_message {
    struct wire_message message;
    struct out_message *next;
};

/* The connection to one broker. */
struct bus_link {
    struct bus *bus;
    char *endpoint;                 /* as given */
    char address[BUS_ADDRESS_SIZE]; /* in numbers, as of the last look-up; "": unknown */
    struct bus_resolve *resolving;
    unsigned lookups;
    void *socket;
    int fd;
    /* Security, bus_secure.c */
    void *monitor; /* tells how the handshakes end */
    int monitor_fd;
    bool monitor_due, begun, up; /* has it begun to connect; is it connected now */
    bool down;                   /* it has ended; what it had brought is still to be read */
    int64_t not_before;          /* when it may begin */
    unsigned key_turn,
        failures;     /* which of the brokers' keys; handshakes failed since the last good */
    unsigned denials; /* greetings refused since the last WELCOME */
    size_t key_count;
    char complaint[BUS_WHY_SIZE];
    int64_t complained_at;

    enum link_state state;
    uint32_t generation; /* counts new sockets and HELLOs: what belongs to an older one is lost */
    int64_t since, last_sent, last_received;
    struct loop_timer *timer;
    struct out_message *out_head, *out_tail; /* what the socket could not take yet */
    size_t out_count, out_bytes;
    uint32_t answered, limit_sent; /* credit */
    json_t *services;              /* name → [instances], from PEERS */
    bool draining;                 /* the broker is about to end: no new calls */
    bool off_list;                 /* the broker sends us no requests any more: we drain */
    unsigned pings;                /* that the broker has not answered */
    bool asked_last;               /* a PING is the last thing sent: for link_delivered */
};

struct call; /* bus_calls.c */

struct bus {
    struct loop *loop;
    void *context;
    struct bus_options options;
    char *service, *keys, *key;
    uint64_t instance;
    char instance_text[17];
    struct bus_link links[BUS_LINKS_MAX];
    size_t link_count, next_link;
    struct map *calls_by_id, *calls_by_seq;
    struct map *serving; /* by instance and seq of the asker */
    size_t serving_count;
    uint64_t next_id, next_seq;
    bool draining, closing, peers_pending; /* closing: the handlers' state has gone */
    bool away;
    int64_t away_after; /* not again before */
    void (*peers_changed)(void *arg);
    void *peers_arg;
};

/* bus_link.c */
void link_open(struct bus_link *link, struct bus *bus, const char *endpoint);
void link_close(struct bus_link *link);
/* Queues a message; it becomes empty. False when the link is not ready (the message is released).
 */
bool link_send(struct bus_link *link, struct wire_message *message);
/* Receives what is there, within a budget; true when anything was done. */
bool link_turn(struct bus_link *link);
void link_grant_credit(struct bus_link *link);
/* All that was sent has come to the broker, or there is none; asks it, so call again. */
bool link_delivered(struct bus_link *link);
/* A ready link, in turns; NULL when there is none. A call is never sent to a broker that is about
 * to end: it might get lost there, and not every call may be repeated. */
struct bus_link *bus_pick_link(struct bus *bus, bool for_call);

/* bus_secure.c */
enum link_news { NEWS_NONE, NEWS_UP, NEWS_DOWN, NEWS_REFUSED, NEWS_NO_FIT };
/* Can a bus with these options speak at all? Says in `ret_why` what is wrong. */
MUST_CHECK enum err secure_check(const struct bus_options *options, char ret_why[BUS_WHY_SIZE]);
/* Gives a new socket its keys and watches how it fares; false: there are none that it could use. */
MUST_CHECK bool secure_socket(struct bus_link *link);
void secure_unwatch(struct bus_link *link);
/* May it connect to this address (in numbers)? Plain is for loopback alone. */
MUST_CHECK bool secure_allows(struct bus_link *link, const char *address);
/* What has happened to the connection since. */
enum link_news secure_news(struct bus_link *link);
/* A handshake failed: says so, chooses the next key and when to try it. */
void secure_failed(struct bus_link *link, enum link_news news);
/* The broker knows the key and refuses the greeting. */
void secure_denied(struct bus_link *link, struct wire_message *message);

/* bus_calls.c */
void calls_on_answer(struct bus *bus, struct wire_message *message);
void calls_on_link_lost(struct bus *bus, struct bus_link *link);
void calls_on_link_ready(struct bus *bus);
void calls_cancel_all(struct bus *bus);

/* bus_serve.c */
void serve_on_request(struct bus *bus, struct bus_link *link, struct wire_message *message);
void serve_on_cancel(struct bus *bus, const struct proto_header *header);
/* Its broker has told the callers of what is here that the connection was lost. */
void serve_on_link_lost(struct bus *bus, const struct bus_link *link);
void serve_release_all(struct bus *bus);
/* Answers all that is here with PEER_LOST; the handlers' own answers go nowhere. */
void serve_give_back(struct bus *bus);
unsigned serve_allowance(const struct bus *bus); /* credit of one link */

/* bus_away.c */
bool away_wants_none(const struct bus *bus); /* no requests: draining or away */
void away_tell(struct bus_link *link);       /* the broker, how it is */

/* bus_peers.c */
void peers_on_list(struct bus *bus, struct bus_link *link, struct wire_message *message);
void peers_on_link_lost(struct bus *bus, struct bus_link *link);
void peers_end(struct bus *bus);

/* The body of a message as a JSON object; an empty one gives {}. */
MUST_CHECK enum err bus_body_parse(zmq_msg_t *frame, json_t **ret_object);

#endif
