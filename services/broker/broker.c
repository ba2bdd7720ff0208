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

enum { TICK_MS = 250, BUDGET = 512, HIGH_WATER_MARK = 1024 };

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

static void send_to_all(struct broker *broker, struct wire_message *message, const char *service)
{
    size_t at = 0;
    struct peer *peer = NULL;
    while ((peer = map_next(broker->peers, &at)))
        if (!peer->dead && strcmp(peer->service, service) == 0)
            forward_copy(broker, message, peer);
}

/* One-way messages need no credit and have no answer; a full service drops them. */
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
    if (to)
        forward(broker, message, to);
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
    if (message->header.flags & PROTO_FLAG_ONEWAY) {
        pass_one_way(broker, message, &target);
        return;
    }
    uint64_t seq = message->header.seq;
    enum err err = broker->draining ? ERR_DRAINING : pass_request(broker, message, from, &target);
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
    if (message->header.type == PROTO_FINAL)
        flight_end(broker, flight);
    if (caller && !caller->dead)
        forward(broker, message, caller);
}

static void on_cancel(struct broker *broker, struct wire_message *message, struct peer *from)
{
    struct flight *flight = flight_find(broker, from->instance, message->header.seq);
    if (message->header.instance == from->instance && flight && !flight->server->dead)
        forward(broker, message, flight->server);
}

static void on_peer_message(struct broker *broker, struct wire_message *message, struct peer *from)
{
    from->last_received = loop_now(broker->loop);
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
    int count = 0;
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

static enum err bind_socket(struct broker *broker, const char *address, int port)
{
    char wanted[192];
    if (port)
        snprintf(wanted, sizeof wanted, "tcp://%.150s:%d", address, port);
    else
        snprintf(wanted, sizeof wanted, "tcp://%.150s:*", address);
    broker->socket = zmq_socket(broker->context, ZMQ_ROUTER);
    wire_socket_setup(broker->socket, HIGH_WATER_MARK);
    int on = 1;
    zmq_setsockopt(broker->socket, ZMQ_ROUTER_MANDATORY, &on, sizeof on);
    if (zmq_bind(broker->socket, wanted) < 0)
        return ERR_CONFLICT;
    size_t len = sizeof broker->endpoint;
    zmq_getsockopt(broker->socket, ZMQ_LAST_ENDPOINT, broker->endpoint, &len);
    len = sizeof broker->fd;
    zmq_getsockopt(broker->socket, ZMQ_FD, &broker->fd, &len);
    loop_fd_add(broker->loop, broker->fd, EPOLLIN, on_readable, broker);
    return ERR_OK;
}

enum err broker_new(struct loop *loop, const char *address, int port, struct broker **ret_broker)
{
    struct broker *broker = mem_alloc(sizeof *broker);
    *broker = (struct broker){.loop = loop, .fd = -1};
    if (getrandom(&broker->instance, sizeof broker->instance, 0) < 0)
        broker->instance = (uint64_t)(uintptr_t)broker;
    broker->peers = map_new();
    broker->by_instance = map_new();
    broker->flights = map_new();
    broker->context = zmq_ctx_new();
    zmq_ctx_set(broker->context, ZMQ_MAX_SOCKETS, 16);
    broker->tick = loop_timer_new(loop, on_tick, broker);
    loop_source_add(loop, turn, broker);
    enum err err = bind_socket(broker, address, port);
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

/* Who has answered the PING has read the DRAIN, and its requests from before have come. */
bool broker_drained(const struct broker *broker)
{
    size_t at = 0;
    struct peer *peer = NULL;
    while ((peer = map_next(broker->peers, &at)))
        if (!peer->dead && peer->pings)
            return false;
    return map_count(broker->flights) == 0 && broker->waiting == 0;
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
    loop_timer_destroy(&broker->tick);
    if (broker->fd >= 0)
        loop_fd_remove(broker->loop, broker->fd);
    int linger = 200;
    zmq_setsockopt(broker->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(broker->socket);
    flights_free(broker);
    peers_free(broker);
    zmq_ctx_term(broker->context);
    free(broker);
    *broker_p = NULL;
}

const char *broker_endpoint(const struct broker *broker)
{
    return broker->endpoint;
}
