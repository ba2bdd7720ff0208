/* Keys of a link, and how its handshakes fare. libzmq says it through a monitor alone: a broker
 * that refuses a key, or has another one than we believe, looks like silence otherwise, and after a
 * refusal the socket never connects again. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "libcommon/bus_internal.h"
#include "libcommon/bus_keys.h"
#include "libcommon/js.h"

enum {
    COMPLAIN_MS = 60000,
    NEXT_KEY_MS = 20,
    FIRST_MS = 100,
    REFUSED_MS = 1000,
    BROKER_KEYS_MAX = 64,
    EVENTS = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
             ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
             ZMQ_EVENT_DISCONNECTED,
};

static void complain(struct bus_link *link, const char *what)
{
    const struct bus_options *options = &link->bus->options;
    int64_t now = loop_now(link->bus->loop);
    if (strcmp(link->complaint, what) == 0 && now - link->complained_at < COMPLAIN_MS)
        return;
    snprintf(link->complaint, sizeof link->complaint, "%s", what);
    link->complained_at = now;
    if (options->trouble)
        options->trouble(options->trouble_arg, link->endpoint, what);
}

const char *bus_trouble(const struct bus *bus)
{
    for (size_t i = 0; i < bus->link_count; i++)
        if (bus->links[i].state == LINK_READY || !*bus->links[i].complaint)
            return NULL;
    return bus->links[0].complaint;
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "tcp://127.", 10) == 0 || strncmp(address, "tcp://[::1]:", 12) == 0;
}

bool secure_allows(struct bus_link *link, const char *address)
{
    if (!link->bus->options.plain || is_loopback(address))
        return true;
    complain(link, "BUS_SECURITY=plain speaks on loopback alone, and this address is none");
    return false;
}

/* What can be told before a connection: names are not looked up yet. */
static bool all_loopback(const char *endpoints)
{
    char one[BUS_ADDRESS_SIZE];
    while (*endpoints) {
        endpoints += strspn(endpoints, ", ");
        size_t len = strcspn(endpoints, ", ");
        snprintf(one, sizeof one, "%.*s", (int)len, endpoints);
        if (len && bus_resolve_is_numeric(one) && !is_loopback(one))
            return false;
        endpoints += len;
    }
    return true;
}

static enum err check_own(const struct bus_options *options, char ret_why[BUS_WHY_SIZE])
{
    struct bus_cert own;
    enum proto_role role;
    if (!options->keys || !options->key) {
        snprintf(ret_why, BUS_WHY_SIZE, "no key folder or no key is given");
        return ERR_DENIED;
    }
    if (bus_keys_load_secret(options->key, &own, ret_why) != ERR_OK)
        return ERR_DENIED;
    bus_cert_wipe(&own);
    if (options->service && proto_role_parse(options->service, &role) && role != own.role) {
        snprintf(ret_why, BUS_WHY_SIZE, "the key %.150s is for the role %s, not for %s",
                 options->key, proto_role_name(own.role), options->service);
        return ERR_DENIED;
    }
    return ERR_OK;
}

enum err secure_check(const struct bus_options *options, char ret_why[BUS_WHY_SIZE])
{
    struct bus_keys *keys = NULL;
    if (options->plain) {
        if (all_loopback(options->endpoints))
            return ERR_OK;
        snprintf(ret_why, BUS_WHY_SIZE, "plain speaks on loopback alone, not with %.150s",
                 options->endpoints);
        return ERR_DENIED;
    }
    enum err err = check_own(options, ret_why);
    if (!err && bus_keys_load(options->keys, &keys, ret_why) != ERR_OK)
        err = ERR_DENIED;
    bus_keys_destroy(&keys);
    return err;
}

/* Of the brokers' keys the one whose turn it is; NULL: there is none. */
static const char *broker_key(struct bus_link *link, const struct bus_keys *keys)
{
    const char *found[BROKER_KEYS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < bus_keys_count(keys) && count < BROKER_KEYS_MAX; i++) {
        const struct bus_cert *cert = bus_keys_at(keys, i);
        if (cert->role == PROTO_ROLE_BROKER && bus_keys_find(keys, cert->public_key))
            found[count++] = cert->public_key;
    }
    link->key_count = count;
    return count ? found[link->key_turn % count] : NULL;
}

static bool set_key(void *socket, int option, const char *key)
{
    return zmq_setsockopt(socket, option, key, strlen(key) + 1) == 0;
}

static bool set_keys(struct bus_link *link)
{
    struct bus_cert own;
    struct bus_keys *keys = NULL;
    char why[BUS_WHY_SIZE] = "";
    if (bus_keys_load_secret(link->bus->key, &own, why) != ERR_OK ||
        bus_keys_load(link->bus->keys, &keys, why) != ERR_OK) {
        complain(link, why);
        return false;
    }
    const char *broker = broker_key(link, keys);
    bool set = broker && set_key(link->socket, ZMQ_CURVE_SERVERKEY, broker) &&
               set_key(link->socket, ZMQ_CURVE_PUBLICKEY, own.public_key) &&
               set_key(link->socket, ZMQ_CURVE_SECRETKEY, own.secret_key);
    bus_cert_wipe(&own);
    bus_keys_destroy(&keys);
    if (!broker)
        complain(link, "the key folder has no broker's public key: copy broker.key into it");
    return set;
}

static void on_monitor(void *arg, uint32_t events)
{
    (void)events;
    ((struct bus_link *)arg)->monitor_due = true;
}

/* The monitor's queue has no limit, for libzmq's thread would wait for room in it; it is emptied at
 * each tick. */
static void watch(struct bus_link *link)
{
    char name[64];
    int none = 0;
    snprintf(name, sizeof name, "inproc://monitor-%p-%u", (void *)link, link->generation);
    int rc = zmq_socket_monitor(link->socket, name, EVENTS);
    link->monitor = zmq_socket(link->bus->context, ZMQ_PAIR);
    assert(rc == 0 && link->monitor);
    zmq_setsockopt(link->monitor, ZMQ_RCVHWM, &none, sizeof none);
    zmq_setsockopt(link->monitor, ZMQ_LINGER, &none, sizeof none);
    rc = zmq_connect(link->monitor, name);
    assert(rc == 0);
    (void)rc;
    size_t len = sizeof link->monitor_fd;
    zmq_getsockopt(link->monitor, ZMQ_FD, &link->monitor_fd, &len);
    loop_fd_add(link->bus->loop, link->monitor_fd, EPOLLIN, on_monitor, link);
    link->monitor_due = true;
}

bool secure_socket(struct bus_link *link)
{
    if (!link->bus->options.plain && !set_keys(link))
        return false;
    watch(link);
    return true;
}

/* The socket's own end goes first: without a reader libzmq's thread would wait for one. */
void secure_unwatch(struct bus_link *link)
{
    if (!link->monitor)
        return;
    zmq_socket_monitor(link->socket, NULL, 0);
    loop_fd_remove(link->bus->loop, link->monitor_fd);
    zmq_close(link->monitor);
    link->monitor = NULL;
}

static enum link_news meaning(uint16_t event)
{
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        return NEWS_UP;
    case ZMQ_EVENT_DISCONNECTED:
        return NEWS_DOWN;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return NEWS_REFUSED;
    default:
        return NEWS_NO_FIT;
    }
}

enum link_news secure_news(struct bus_link *link)
{
    zmq_msg_t event, address;
    uint16_t number = 0;
    enum link_news news = NEWS_NONE;
    if (!link->monitor)
        return NEWS_NONE;
    zmq_msg_init(&event);
    zmq_msg_init(&address);
    if (zmq_msg_recv(&event, link->monitor, ZMQ_DONTWAIT) >= (int)sizeof number) {
        memcpy(&number, zmq_msg_data(&event), sizeof number);
        if (zmq_msg_more(&event) && zmq_msg_recv(&address, link->monitor, ZMQ_DONTWAIT) >= 0)
            news = meaning(number);
    }
    zmq_msg_close(&event);
    zmq_msg_close(&address);
    return news;
}

/* Each of the brokers' keys is tried at once, then all again after a while. */
void secure_failed(struct bus_link *link, enum link_news news)
{
    char what[BUS_WHY_SIZE];
    int64_t pause = REFUSED_MS;
    link->failures++;
    if (news == NEWS_REFUSED) {
        snprintf(what, sizeof what,
                 "the broker refuses our key (%.120s): it has to be among the public keys in the "
                 "broker's BUS_KEYS folder",
                 link->bus->key ? link->bus->key : "plain");
        complain(link, what);
    } else {
        link->key_turn++;
        if (link->key_count && link->failures % link->key_count != 0)
            pause = NEXT_KEY_MS;
        else if (link->failures <= link->key_count)
            pause = FIRST_MS; /* a broker that was just ending looks the same */
        else
            complain(link, "the broker ends the connection in the handshake: none of the brokers' "
                           "public keys in our BUS_KEYS folder is its own, or one side is plain");
    }
    link->not_before = loop_now(link->bus->loop) + pause;
}

void secure_denied(struct bus_link *link, struct wire_message *message)
{
    json_t *body = NULL;
    char what[BUS_WHY_SIZE];
    if (bus_body_parse(&message->body, &body) != ERR_OK)
        body = NULL;
    snprintf(what, sizeof what, "the broker refuses our greeting: %.180s",
             js_str(body, "detail", "it does not say why"));
    json_decref(body);
    complain(link, what);
    /* A key that was rotated: its successor may lie there already. */
    link->not_before = loop_now(link->bus->loop) + (link->denials++ ? REFUSED_MS : FIRST_MS);
}
