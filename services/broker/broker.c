#include "services/broker/broker.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/broker/internal.h"
#include "services/broker/policy.h"

enum { TICK_MS = 250, KEYS_MS = 1000, BUDGET = 512, HIGH_WATER_MARK = 1024 };

static const char zap_domain[] = "mcpbus";

/* Passes a message on; header and frames stay as they are. */
static void forward(struct broker *broker, struct wire_message *message, struct peer *to)
{
    zmq_msg_close(&message->route);
    zmq_msg_init(&message->route);
    peer_send(broker, to, message);
}

static void forward_copy(struct broker *broker, struct wire_message *message, struct peer *to)
{
    struct wire_message copy;
    wire_init(&copy);
    copy.header = message->header;
    zmq_msg_copy(&copy.method, &message->method);
    zmq_msg_copy(&copy.metadata, &message->metadata);
    zmq_msg_copy(&copy.body, &message->body);
    peer_send(broker, to, &copy);
}

/* One-way messages have no credit to hold them back: those that a peer is too slow for must not
 * fill its queue, which would end it. */
static bool has_room(const struct peer *peer)
{
    return !peer->dead && peer->out_count < OUT_MAX_MESSAGES / 2 &&
           peer->out_bytes < OUT_MAX_BYTES / 2;
}

static void send_to_all(struct broker *broker, struct wire_message *message, const char *service)
{
    size_t at = 0;
    struct peer *peer = NULL;
    while ((peer = map_next(broker->peers, &at)))
        if (has_room(peer) && strcmp(peer->service, service) == 0)
            forward_copy(broker, message, peer);
}

/* They have no answer, and where they find no room they are dropped. */
static void pass_one_way(struct broker *broker, struct wire_message *message,
                         const struct proto_target *target)
{
    struct peer *to = NULL;
    if (target->reach == PROTO_ALL) {
        send_to_all(broker, message, target->service);
        return;
    }
    if (target->reach == PROTO_ONE) {
        to = map_get(broker->by_instance, &target->instance, sizeof target->instance);
        if (to && (to->dead || strcmp(to->service, target->service) != 0))
            to = NULL;
    } else if (peer_choose(broker, target->service, 0, &to) != ERR_OK) {
        to = NULL;
    }
    if (to && has_room(to))
        forward(broker, message, to);
    else
        count_dropped();
}

static enum err pass_request(struct broker *broker, struct wire_message *message, struct peer *from,
                             const struct proto_target *target)
{
    struct peer *to = NULL;
    if (target->reach == PROTO_ALL)
        return ERR_BAD_FRAME;
    if (message->header.ttl_ms == 0)
        return ERR_EXPIRED;
    enum err err = peer_choose(broker, target->service,
                               target->reach == PROTO_ONE ? target->instance : 0, &to);
    if (!err)
        err = flight_begin(broker, &message->header, from, to);
    if (err)
        return err;
    to->sent++;
    forward(broker, message, to);
    return ERR_OK;
}

/* One line names the first of them; the rest is counted. */
static bool may_call(struct broker *broker, const struct peer *from,
                     const struct proto_target *target)
{
    if (broker->plain)
        return true;
    if (from->cert && policy_may_call(from->cert, target->service, target->method)) {
        if (from->cert->role == PROTO_ROLE_ADMIN)
            log_info("admin_call", LOG_S("name", from->cert->name),
                     LOG_S("service", target->service), LOG_S("method", target->method));
        return true;
    }
    if (from->cert && audit_note(broker, true))
        log_warning("call_denied", LOG_S("role", proto_role_name(from->cert->role)),
                    LOG_S("name", from->cert->name), LOG_S("service", target->service),
                    LOG_S("method", target->method));
    return false;
}

static void on_request(struct broker *broker, struct wire_message *message, struct peer *from)
{
    struct proto_target target;
    if (message->header.instance != from->instance ||
        proto_target_parse(zmq_msg_data(&message->method), zmq_msg_size(&message->method),
                           &target) != ERR_OK) {
        peer_mark_dead(broker, from);
        route_send_plain(broker, &from->route, PROTO_DISCONNECT);
        return;
    }
    bool allowed = may_call(broker, from, &target);
    if (message->header.flags & PROTO_FLAG_ONEWAY) {
        if (allowed)
            pass_one_way(broker, message, &target);
        return;
    }
    uint64_t seq = message->header.seq;
    enum err err = !allowed           ? ERR_DENIED
                   : broker->draining ? ERR_DRAINING
                                      : pass_request(broker, message, from, &target);
    if (err)
        flight_refuse(broker, from, seq, 0, err);
}

static void on_answer(struct broker *broker, struct wire_message *message, struct peer *from)
{
    struct flight *flight = flight_find(broker, message->header.instance, message->header.seq);
    if (!flight || flight->server != from)
        return;
    struct peer *caller = flight->caller;
    flight->parts = message->header.part;
    if (message->header.type == PROTO_FINAL) {
        count_answered(flight);
        flight_end(broker, flight);
    }
    if (!caller->dead)
        forward(broker, message, caller);
}

static void on_cancel(struct broker *broker, struct wire_message *message, struct peer *from)
{
    struct flight *flight = flight_find(broker, from->instance, message->header.seq);
    if (message->header.instance != from->instance || !flight)
        return;
    struct peer *server = flight->server;
    flight_end(broker, flight); /* no answer need come, and a deadline may be an hour away */
    if (!server->dead)
        forward(broker, message, server);
}

static void on_peer_message(struct broker *broker, struct wire_message *message, struct peer *from)
{
    from->last_received = loop_now(broker->loop);
    count_message(message->header.type, message->header.flags & PROTO_FLAG_ONEWAY);
    switch (message->header.type) {
    case PROTO_REQUEST:
        on_request(broker, message, from);
        break;
    case PROTO_PARTIAL:
    case PROTO_FINAL:
        on_answer(broker, message, from);
        break;
    case PROTO_CANCEL:
        on_cancel(broker, message, from);
        break;
    case PROTO_CREDIT:
        if ((int32_t)(message->header.credit - from->limit) > 0)
            from->limit = message->header.credit;
        break;
    case PROTO_PING:
        peer_send_plain(broker, from, PROTO_PONG);
        break;
    case PROTO_PONG:
        from->pings -= from->pings > 0;
        break;
    case PROTO_DRAIN:
        from->draining = message->header.credit == 0;
        broker->peers_changed = true;
        break;
    case PROTO_DISCONNECT:
        peer_mark_dead(broker, from);
        break;
    default:
        break;
    }
}

static void on_message(struct broker *broker, struct wire_message *message, enum err err)
{
    struct peer *from = peer_find(broker, &message->route);
    if (err) {
        broker->bad_messages++;
        if (from)
            peer_mark_dead(broker, from);
        route_send_plain(broker, &message->route, PROTO_DISCONNECT);
    } else if (message->header.type == PROTO_HELLO) {
        peer_hello(broker, message);
    } else if (from && !from->dead) {
        on_peer_message(broker, message, from);
    } else if (message->header.type != PROTO_DISCONNECT) {
        route_send_plain(broker, &message->route, PROTO_DISCONNECT);
    }
    peers_settle(broker);
}

static bool turn(void *arg)
{
    struct broker *broker = arg;
    struct wire_message message;
    wire_init(&message);
    int count = zap_turn(broker);
    for (; count < BUDGET; count++) {
        enum err err = wire_recv(broker->socket, true, &message);
        if (err == ERR_TIMEOUT || err == ERR_INTERNAL)
            break;
        on_message(broker, &message, err);
    }
    wire_fini(&message);
    peers_flush(broker);
    peers_settle(broker);
    return count > 0;
}

static void on_tick(void *arg)
{
    struct broker *broker = arg;
    if (broker->bad_messages) /* one line for any number: a flood must not fill the log */
        log_warning("bad_messages", LOG_I("count", broker->bad_messages));
    broker->bad_messages = 0;
    memory_tick(broker);
    audit_tick(broker);
    keys_look(broker, KEYS_MS);
    cuts_tick(broker);
    owners_tick(broker);
    peers_tick(broker);
    flights_expire(broker);
    peers_settle(broker);
    loop_timer_start(broker->tick, TICK_MS);
}

static void on_readable(void *arg, uint32_t events)
{
    /* Only wakes the loop; the work is done in turn(). */
    (void)arg;
    (void)events;
}

/* ZAP_ENFORCE_DOMAIN: a connection fails when nobody answers for the domain. Its number is that of
 * zmq.h's draft section, which the library has always had. */
static bool set_curve(void *socket, const struct bus_cert *own)
{
    enum { ENFORCE_DOMAIN = 93 };
    int on = 1;
    return zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &on, sizeof on) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own->secret_key, BUS_KEY_TEXT_SIZE) == 0 &&
           zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, zap_domain, strlen(zap_domain)) == 0 &&
           zmq_setsockopt(socket, ENFORCE_DOMAIN, &on, sizeof on) == 0;
}

static enum err secure(struct broker *broker, const struct broker_options *options,
                       char ret_why[BUS_WHY_SIZE])
{
    struct bus_cert own;
    if (options->plain) {
        if (strncmp(options->address, "127.", 4) == 0)
            return ERR_OK;
        snprintf(ret_why, BUS_WHY_SIZE, "plain listens on loopback alone, on 127.0.0.1 say");
        return ERR_DENIED;
    }
    if (bus_keys_load_secret(options->key, &own, ret_why) != ERR_OK)
        return ERR_DENIED;
    enum err err = keys_open(broker, options, ret_why);
    if (!err && own.role != PROTO_ROLE_BROKER) {
        snprintf(ret_why, BUS_WHY_SIZE, "the key %.150s is not for the role broker", options->key);
        err = ERR_DENIED;
    }
    if (!err && (zap_open(broker) != ERR_OK || !set_curve(broker->socket, &own))) {
        snprintf(ret_why, BUS_WHY_SIZE, "this libzmq has no CURVE");
        err = ERR_DENIED;
    }
    bus_cert_wipe(&own);
    return err;
}

static enum err bind_socket(struct broker *broker, const struct broker_options *options,
                            char ret_why[BUS_WHY_SIZE])
{
    char wanted[192];
    if (options->port)
        snprintf(wanted, sizeof wanted, "tcp://%.150s:%d", options->address, options->port);
    else
        snprintf(wanted, sizeof wanted, "tcp://%.150s:*", options->address);
    if (zmq_bind(broker->socket, wanted) < 0) {
        snprintf(ret_why, BUS_WHY_SIZE, "%s; is the port taken? BROKER_PORT sets another",
                 zmq_strerror(zmq_errno()));
        return ERR_CONFLICT;
    }
    size_t len = sizeof broker->endpoint;
    zmq_getsockopt(broker->socket, ZMQ_LAST_ENDPOINT, broker->endpoint, &len);
    len = sizeof broker->fd;
    zmq_getsockopt(broker->socket, ZMQ_FD, &broker->fd, &len);
    loop_fd_add(broker->loop, broker->fd, EPOLLIN, on_readable, broker);
    return ERR_OK;
}

static void open_socket(struct broker *broker)
{
    int on = 1;
    broker->context = zmq_ctx_new();
    zmq_ctx_set(broker->context, ZMQ_MAX_SOCKETS, 16);
    broker->socket = zmq_socket(broker->context, ZMQ_ROUTER);
    wire_socket_setup(broker->socket, HIGH_WATER_MARK);
    zmq_setsockopt(broker->socket, ZMQ_ROUTER_MANDATORY, &on, sizeof on);
}

enum err broker_new(struct loop *loop, const struct broker_options *options,
                    struct broker **ret_broker, char ret_why[BUS_WHY_SIZE])
{
    struct broker *broker = mem_alloc(sizeof *broker);
    *broker = (struct broker){.loop = loop,
                              .fd = -1,
                              .zap_fd = -1,
                              .plain = options->plain,
                              .memory_mib = options->memory_mib};
    if (getrandom(&broker->instance, sizeof broker->instance, 0) < 0)
        broker->instance = (uint64_t)(uintptr_t)broker;
    broker->peers = map_new();
    broker->by_instance = map_new();
    broker->flights = map_new();
    broker->owners = map_new();
    broker->shares = map_new();
    broker->news = loop_timer_new(loop, peers_announce, broker);
    broker->tick = loop_timer_new(loop, on_tick, broker);
    loop_source_add(loop, turn, broker);
    counts_begin(broker);
    open_socket(broker);
    enum err err = secure(broker, options, ret_why);
    if (!err)
        err = bind_socket(broker, options, ret_why);
    if (err) {
        broker_destroy(&broker);
        return err;
    }
    loop_timer_start(broker->tick, TICK_MS);
    *ret_broker = broker;
    return ERR_OK;
}

void broker_drain(struct broker *broker)
{
    broker->draining = true;
    size_t at = 0;
    struct peer *peer = NULL;
    while ((peer = map_next(broker->peers, &at)))
        peer_tell_draining(broker, peer);
}

/* Who has answered the first PING has read the DRAIN, and its requests from before have come; who
 * has answered one behind its last answer has read that. */
static bool has_read_all(struct broker *broker, struct peer *peer)
{
    if (!peer->pings && !peer->asked_last) {
        peer_send_plain(broker, peer, PROTO_PING);
        peer->asked_last = true;
    }
    return peer->dead || !peer->pings;
}

bool broker_drained(struct broker *broker)
{
    if (map_count(broker->flights) > 0 || broker->waiting > 0)
        return false;
    bool drained = true;
    size_t at = 0;
    struct peer *peer = NULL;
    while ((peer = map_next(broker->peers, &at)))
        drained &= has_read_all(broker, peer);
    return drained;
}

void broker_destroy(struct broker **broker_p)
{
    struct broker *broker = *broker_p;
    if (!broker)
        return;
    size_t at = 0;
    struct peer *peer = NULL;
    while ((peer = map_next(broker->peers, &at)))
        peer_send_plain(broker, peer, PROTO_DISCONNECT);
    loop_source_remove(broker->loop, turn, broker);
    counts_end(broker);
    loop_timer_destroy(&broker->tick);
    loop_timer_destroy(&broker->news);
    if (broker->fd >= 0)
        loop_fd_remove(broker->loop, broker->fd);
    int linger = 200;
    zmq_setsockopt(broker->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(broker->socket);
    zap_close(broker);
    flights_free(broker);
    owners_free(broker);
    peers_free(broker);
    shares_free(broker);
    zmq_ctx_term(broker->context);
    keys_close(broker);
    free(broker->announced);
    free(broker);
    *broker_p = NULL;
}

const char *broker_endpoint(const struct broker *broker)
{
    return broker->endpoint;
}
