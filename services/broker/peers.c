/* Who is connected: greetings, heartbeats, credit, outgoing queues. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/broker/internal.h"
#include "services/broker/policy.h"

enum { ANNOUNCE_MS = 20 };

struct peer *peer_find(const struct broker *broker, zmq_msg_t *route)
{
    return map_get(broker->peers, zmq_msg_data(route), zmq_msg_size(route));
}

static void send_to_route(struct broker *broker, zmq_msg_t *route, struct wire_message *message,
                          enum err *ret_err)
{
    zmq_msg_copy(&message->route, route);
    *ret_err = wire_send(broker->socket, true, message);
}

void route_send_plain(struct broker *broker, zmq_msg_t *route, enum proto_type type)
{
    struct wire_message message;
    enum err err = ERR_OK;
    wire_init(&message);
    message.header = (struct proto_header){.type = type, .instance = broker->instance};
    send_to_route(broker, route, &message, &err);
    wire_fini(&message);
}

static void refuse_route(struct broker *broker, zmq_msg_t *route, const char *why)
{
    struct wire_message message;
    enum err err = ERR_OK;
    wire_init(&message);
    message.header = (struct proto_header){
        .type = PROTO_DISCONNECT, .status = ERR_DENIED, .instance = broker->instance};
    json_t *body = json_pack("{s:s}", "detail", why);
    char *text = js_dump(body);
    json_decref(body);
    wire_set_owned(&message.body, text, strlen(text));
    send_to_route(broker, route, &message, &err);
    wire_fini(&message);
}

void peer_refuse(struct broker *broker, struct peer *peer, const char *why)
{
    log_warning("peer_refused", LOG_S("key", peer->key), LOG_S("reason", why));
    refuse_route(broker, &peer->route, why);
    cut_later(broker, &peer->connection);
    peer_mark_dead(broker, peer);
}

static void queue_out(struct broker *broker, struct peer *peer, struct wire_message *message)
{
    struct out_message *out = mem_alloc(sizeof *out);
    out->message = *message;
    wire_init(message);
    if (peer->out_tail)
        peer->out_tail->next = out;
    else
        peer->out_head = out;
    peer->out_tail = out;
    peer->out_count++;
    peer->out_bytes += wire_bytes(&out->message);
    broker->waiting++;
    if (peer->out_count > OUT_MAX_MESSAGES || peer->out_bytes > OUT_MAX_BYTES)
        peer_mark_dead(broker, peer);
}

void peer_send(struct broker *broker, struct peer *peer, struct wire_message *message)
{
    enum err err = ERR_OVERLOADED;
    if (message->header.type == PROTO_PARTIAL || message->header.type == PROTO_FINAL)
        peer->asked_last = false;
    if (!peer->dead && !peer->out_head)
        send_to_route(broker, &peer->route, message, &err);
    if (err == ERR_OK)
        peer->last_sent = loop_now(broker->loop);
    else if (err == ERR_OVERLOADED && !peer->dead)
        queue_out(broker, peer, message);
    else
        peer_mark_dead(broker, peer);
    wire_fini(message);
    wire_init(message);
}

void peer_send_plain(struct broker *broker, struct peer *peer, enum proto_type type)
{
    struct wire_message message;
    wire_init(&message);
    message.header = (struct proto_header){.type = type, .instance = broker->instance};
    peer->pings += type == PROTO_PING && !peer->dead;
    peer_send(broker, peer, &message);
}

void peer_tell_draining(struct broker *broker, struct peer *peer)
{
    peer_send_plain(broker, peer, PROTO_DRAIN);
    peer_send_plain(broker, peer, PROTO_PING);
}

static void flush_peer(struct broker *broker, struct peer *peer)
{
    while (peer->out_head && !peer->dead) {
        struct out_message *out = peer->out_head;
        size_t bytes = wire_bytes(&out->message);
        enum err err = ERR_OK;
        send_to_route(broker, &peer->route, &out->message, &err);
        if (err == ERR_OVERLOADED)
            return;
        if (err)
            peer_mark_dead(broker, peer);
        peer->out_head = out->next;
        if (!peer->out_head)
            peer->out_tail = NULL;
        peer->out_count--;
        peer->out_bytes -= bytes;
        peer->last_sent = loop_now(broker->loop);
        broker->waiting--;
        wire_fini(&out->message);
        free(out);
    }
}

void peers_flush(struct broker *broker)
{
    size_t at = 0;
    struct peer *peer = NULL;
    while (broker->waiting && (peer = map_next(broker->peers, &at)))
        flush_peer(broker, peer);
}

void peer_mark_dead(struct broker *broker, struct peer *peer)
{
    peer->dead = true;
    broker->deaths = true;
}

static void peer_free(struct broker *broker, struct peer *peer)
{
    while (peer->out_head) {
        struct out_message *out = peer->out_head;
        peer->out_head = out->next;
        broker->waiting--;
        wire_fini(&out->message);
        free(out);
    }
    zmq_msg_close(&peer->route);
    share_leave(broker, &peer->share);
    free(peer);
}

/* "service" and its method names, "" and nothing for a peer that only calls. */
static bool read_hello(struct wire_message *hello, char ret_service[65])
{
    AUTOJSON json_t *metadata = NULL;
    if (js_parse(zmq_msg_data(&hello->metadata), zmq_msg_size(&hello->metadata), &metadata, NULL) !=
        ERR_OK)
        return false;
    const char *service = js_str(metadata, "service", NULL);
    if (!service || hello->header.instance == 0 ||
        (*service && !proto_is_name(service, strlen(service))))
        return false;
    memcpy(ret_service, service, strlen(service) + 1);
    return true;
}

static struct peer *peer_new(struct broker *broker, struct wire_message *hello, struct share *share)
{
    struct peer *peer = mem_alloc(sizeof *peer);
    zmq_msg_init(&peer->route);
    zmq_msg_copy(&peer->route, &hello->route);
    peer->instance = hello->header.instance;
    peer->share = share;
    map_put(broker->peers, zmq_msg_data(&peer->route), zmq_msg_size(&peer->route), peer);
    return peer;
}

/* A process that greets again has lost what was under way here, on this connection or an older one
 * of its own. */
static void forget_earlier(struct broker *broker, struct peer *peer)
{
    struct peer *old = map_get(broker->by_instance, &peer->instance, sizeof peer->instance);
    if (old && old != peer)
        peer_mark_dead(broker, old);
    flights_peer_lost(broker, peer);
}

/* Why a greeting may not be; NULL: it may. `ret_cert` stays as it was in plain mode. */
static const char *objection(struct broker *broker, struct wire_message *hello, const char *service,
                             const struct bus_cert **ret_cert)
{
    if (broker->plain)
        return NULL;
    const char *key = wire_user(hello);
    const struct bus_cert *cert = key ? keys_admitted(broker, key) : NULL;
    if (!cert)
        return "its key has been removed";
    if (*service && !policy_may_serve(cert, service))
        return "its key may not serve this service";
    if (!owner_claims(broker, hello->header.instance, cert))
        return "the instance is another key's";
    *ret_cert = cert;
    return NULL;
}

static void refuse_hello(struct broker *broker, struct wire_message *hello, const char *service,
                         const char *why)
{
    struct connection connection = connection_of(hello);
    if (audit_note(broker, true))
        log_warning("greeting_refused", LOG_S("key", wire_user(hello)), LOG_S("service", service),
                    LOG_S("reason", why));
    refuse_route(broker, &hello->route, why);
    cut_later(broker, &connection);
}

static void welcome(struct broker *broker, struct peer *peer, const char *service,
                    const struct wire_message *hello)
{
    forget_earlier(broker, peer);
    map_put(broker->by_instance, &peer->instance, sizeof peer->instance, peer);
    memcpy(peer->service, service, strlen(service) + 1);
    peer->limit = hello->header.credit;
    peer->sent = 0;
    peer->draining = peer->dead = peer->told = peer->asked_last = false;
    peer->last_received = loop_now(broker->loop);
    char instance[17];
    proto_instance_format(peer->instance, instance);
    if (comings_note(broker))
        log_info("peer_joined", LOG_S("service", *service ? service : "-"),
                 LOG_S("instance", instance), LOG_S("key", peer->cert ? peer->cert->name : "-"));
    peer_send_plain(broker, peer, PROTO_WELCOME);
    if (broker->draining)
        peer_tell_draining(broker, peer);
    broker->peers_changed = true;
}

void peer_hello(struct broker *broker, struct wire_message *hello)
{
    char service[65] = "";
    const struct bus_cert *cert = NULL;
    struct peer *peer = peer_find(broker, &hello->route);
    bool full = !peer && map_count(broker->peers) >= PEERS_MAX;
    if (full || !read_hello(hello, service) || (peer && peer->instance != hello->header.instance)) {
        broker->bad_messages++;
        route_send_plain(broker, &hello->route, PROTO_DISCONNECT);
        return;
    }
    const char *why = objection(broker, hello, service, &cert);
    if (why) {
        if (peer)
            peer_mark_dead(broker, peer);
        refuse_hello(broker, hello, service, why);
        return;
    }
    struct share *share = peer || !cert ? NULL : share_join(broker, cert->public_key);
    if (!peer && cert && !share) {
        refuse_hello(broker, hello, service, "its key has too many connections");
        return;
    }
    if (!peer)
        peer = peer_new(broker, hello, share);
    peer->cert = cert;
    peer->connection = connection_of(hello);
    if (cert)
        memcpy(peer->key, cert->public_key, sizeof peer->key);
    welcome(broker, peer, service, hello);
}

static int32_t credit_left(const struct peer *peer)
{
    return (int32_t)(peer->limit - peer->sent);
}

enum err peer_choose(const struct broker *broker, const char *service, uint64_t instance,
                     struct peer **ret_peer)
{
    struct peer *best = NULL, *peer = NULL;
    size_t at = 0;
    while ((peer = map_next(broker->peers, &at))) {
        if (peer->dead || peer->draining || (instance && peer->instance != instance) ||
            strcmp(peer->service, service) != 0)
            continue;
        if (!best || credit_left(peer) > credit_left(best))
            best = peer;
    }
    if (!best)
        return ERR_NO_SERVICE;
    if (credit_left(best) <= 0)
        return ERR_OVERLOADED;
    *ret_peer = best;
    return ERR_OK;
}

static json_t *list_services(const struct broker *broker)
{
    json_t *services = json_object();
    size_t at = 0;
    struct peer *peer = NULL;
    while ((peer = map_next(broker->peers, &at))) {
        if (!*peer->service || peer->draining || peer->dead)
            continue;
        json_t *list = json_object_get(services, peer->service);
        if (!list) {
            list = json_array();
            json_object_set_new(services, peer->service, list);
        }
        char instance[17];
        proto_instance_format(peer->instance, instance);
        json_array_append_new(list, json_string(instance));
    }
    return json_pack("{s:o}", "services", services);
}

static void list_changes(struct broker *broker, const char *text)
{
    size_t at = 0;
    struct peer *peer = NULL;
    if (broker->announced && strcmp(broker->announced, text) == 0)
        return;
    free(broker->announced);
    broker->announced = mem_strdup(text);
    while ((peer = map_next(broker->peers, &at)))
        peer->told = false;
}

/* A peer that greets or drains over and over changes the list as often, or not at all: the others
 * must not be kept busy by that. */
void peers_announce(void *arg)
{
    struct broker *broker = arg;
    AUTOJSON json_t *body = list_services(broker);
    char *text = js_dump(body);
    broker->peers_changed = false;
    broker->announced_at = loop_now(broker->loop);
    list_changes(broker, text);
    zmq_msg_t shared;
    zmq_msg_init(&shared);
    wire_set_owned(&shared, text, strlen(text));
    size_t at = 0;
    struct peer *peer = NULL;
    while ((peer = map_next(broker->peers, &at))) {
        if (peer->dead || peer->told)
            continue;
        peer->told = true;
        struct wire_message message;
        wire_init(&message);
        message.header = (struct proto_header){.type = PROTO_PEERS, .instance = broker->instance};
        zmq_msg_copy(&message.body, &shared);
        peer_send(broker, peer, &message);
    }
    zmq_msg_close(&shared);
    peers_settle(broker);
}

static void reap(struct broker *broker)
{
    size_t at = 0;
    struct peer *peer = NULL;
    while ((peer = map_next(broker->peers, &at))) {
        if (!peer->dead)
            continue;
        char instance[17];
        proto_instance_format(peer->instance, instance);
        if (comings_note(broker))
            log_info("peer_left", LOG_S("service", *peer->service ? peer->service : "-"),
                     LOG_S("instance", instance));
        map_take(broker->peers, zmq_msg_data(&peer->route), zmq_msg_size(&peer->route));
        if (map_get(broker->by_instance, &peer->instance, sizeof peer->instance) == peer)
            map_take(broker->by_instance, &peer->instance, sizeof peer->instance);
        flights_peer_lost(broker, peer);
        peer_free(broker, peer);
    }
}

/* Sending may find more peers dead, so this ends when a pass finds none. */
void peers_settle(struct broker *broker)
{
    while (broker->deaths) {
        broker->deaths = false;
        broker->peers_changed = true;
        reap(broker);
    }
    if (!broker->peers_changed || loop_timer_active(broker->news))
        return;
    int64_t pause = broker->announced_at + ANNOUNCE_MS - loop_now(broker->loop);
    loop_timer_start(broker->news, pause > 0 ? pause : 0);
}

void peers_tick(struct broker *broker)
{
    int64_t now = loop_now(broker->loop);
    size_t at = 0;
    struct peer *peer = NULL;
    while ((peer = map_next(broker->peers, &at))) {
        if (now - peer->last_received > PROTO_DEAD_AFTER_MS) {
            /* It may still hear us, and would wait for its answers until it misses our PINGs. */
            route_send_plain(broker, &peer->route, PROTO_DISCONNECT);
            peer_mark_dead(broker, peer);
        } else if (now - peer->last_sent >= PROTO_PING_AFTER_MS) {
            peer_send_plain(broker, peer, PROTO_PING);
        }
    }
}

void peers_free(struct broker *broker)
{
    size_t at = 0;
    struct peer *peer = NULL;
    while ((peer = map_next(broker->peers, &at)))
        peer_free(broker, peer);
    map_destroy(&broker->peers);
    map_destroy(&broker->by_instance);
}
