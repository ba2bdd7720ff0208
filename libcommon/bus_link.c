/* The connection to one broker: socket, greeting, heartbeats, outgoing queue. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "libcommon/bus_internal.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"

enum {
    TICK_MS = 250,
    CONNECT_TICK_MS = 10,
    CONNECT_TIMEOUT_MS = 2000,
    LOOK_AGAIN_MS = 2500,
    AGAIN_MS = 1000,
    HIGH_WATER_MARK = 4096
};

static void on_readable(void *arg, uint32_t events)
{
    /* The work is done in the bus's turn; waking up is all that this is for. */
    (void)arg;
    (void)events;
}

static void connect_to(struct bus_link *link, const char *address)
{
    if (!secure_allows(link, address))
        return;
    if (zmq_connect(link->socket, address) < 0)
        log_debug("bus_connect_failed", LOG_S("endpoint", link->endpoint));
}

static void on_resolved(void *arg, const char *address)
{
    struct bus_link *link = arg;
    if (address && strcmp(address, link->address) != 0 && link->state == LINK_CONNECTING) {
        if (*link->address)
            zmq_disconnect(link->socket, link->address);
        snprintf(link->address, sizeof link->address, "%s", address);
        connect_to(link, address);
    }
    bus_resolve_end(&link->resolving);
}

/* A name is looked up for each new socket; meanwhile its last address may be as good. */
static void connect_socket(struct bus_link *link)
{
    if (bus_resolve_is_numeric(link->endpoint)) {
        connect_to(link, link->endpoint);
        return;
    }
    if (*link->address)
        connect_to(link, link->address);
    if (!link->resolving)
        link->resolving =
            bus_resolve_begin(link->bus->loop, link->endpoint, link->lookups++, on_resolved, link);
}

static void begin(struct bus_link *link)
{
    link->begun = secure_socket(link);
    if (link->begun)
        connect_socket(link);
    else
        link->not_before = loop_now(link->bus->loop) + AGAIN_MS;
}

/* ZMQ_IMMEDIATE stays 0: with 1 libzmq drops the pipe when the connection ends, and should that be
 * in the middle of a message that is being received, it aborts (docs/decisions/0022). So a stale
 * request may reach a broker that is back; it refuses whatever comes before a HELLO. */
static void open_socket(struct bus_link *link)
{
    link->socket = zmq_socket(link->bus->context, ZMQ_DEALER);
    assert(link->socket);
    wire_socket_setup(link->socket, HIGH_WATER_MARK);
    int interval = 20 + (int)(link->bus->instance % 30), interval_max = 500;
    int connect_timeout = CONNECT_TIMEOUT_MS;
    zmq_setsockopt(link->socket, ZMQ_RECONNECT_IVL, &interval, sizeof interval);
    zmq_setsockopt(link->socket, ZMQ_RECONNECT_IVL_MAX, &interval_max, sizeof interval_max);
    /* The kernel alone would wait ever longer between two tries of one connect: after a minute
     * without a network for another minute. */
    zmq_setsockopt(link->socket, ZMQ_CONNECT_TIMEOUT, &connect_timeout, sizeof connect_timeout);
    size_t len = sizeof link->fd;
    zmq_getsockopt(link->socket, ZMQ_FD, &link->fd, &len);
    loop_fd_add(link->bus->loop, link->fd, EPOLLIN, on_readable, link);
    link->state = LINK_CONNECTING;
    link->since = loop_now(link->bus->loop);
    link->begun = link->up = link->down = false;
    if (link->since >= link->not_before)
        begin(link);
}

static void close_socket(struct bus_link *link)
{
    secure_unwatch(link);
    loop_fd_remove(link->bus->loop, link->fd);
    zmq_close(link->socket);
}

static void drop_out(struct bus_link *link)
{
    while (link->out_head) {
        struct out_message *out = link->out_head;
        link->out_head = out->next;
        wire_fini(&out->message);
        free(out);
    }
    link->out_tail = NULL;
    link->out_count = link->out_bytes = 0;
}

/* What was under way on this link is lost; greet again, on the same socket or a new one. */
static void restart(struct bus_link *link, bool new_socket)
{
    bool was_ready = link->state == LINK_READY;
    link->generation++;
    link->state = LINK_CONNECTING;
    link->draining = link->off_list = link->asked_last = false;
    link->pings = 0;
    link->since = loop_now(link->bus->loop);
    drop_out(link);
    if (new_socket) {
        close_socket(link);
        open_socket(link);
    }
    loop_timer_start(link->timer, CONNECT_TICK_MS);
    if (!was_ready)
        return;
    peers_on_link_lost(link->bus, link);
    calls_on_link_lost(link->bus, link);
    serve_on_link_lost(link->bus, link);
}

static void flush_out(struct bus_link *link)
{
    while (link->out_head) {
        struct out_message *out = link->out_head;
        size_t bytes = wire_bytes(&out->message);
        if (wire_send(link->socket, false, &out->message) != ERR_OK)
            return;
        link->last_sent = loop_now(link->bus->loop);
        link->out_head = out->next;
        if (!link->out_head)
            link->out_tail = NULL;
        link->out_count--;
        link->out_bytes -= bytes;
        wire_fini(&out->message);
        free(out);
    }
}

static void queue_out(struct bus_link *link, struct wire_message *message)
{
    struct out_message *out = mem_alloc(sizeof *out);
    out->message = *message;
    wire_init(message);
    if (link->out_tail)
        link->out_tail->next = out;
    else
        link->out_head = out;
    link->out_tail = out;
    link->out_count++;
    link->out_bytes += wire_bytes(&out->message);
}

static void deferred_restart(void *arg)
{
    struct bus_link *link = arg;
    if (link->out_count > BUS_OUT_MAX_MESSAGES || link->out_bytes > BUS_OUT_MAX_BYTES)
        restart(link, true);
}

/* In order: behind what waits. The message becomes empty. */
static void put(struct bus_link *link, struct wire_message *message)
{
    if (!link->out_head && wire_send(link->socket, false, message) == ERR_OK) {
        link->last_sent = loop_now(link->bus->loop);
        return;
    }
    queue_out(link, message);
    if (link->out_count > BUS_OUT_MAX_MESSAGES || link->out_bytes > BUS_OUT_MAX_BYTES)
        loop_defer(link->bus->loop, deferred_restart, link);
}

bool link_send(struct bus_link *link, struct wire_message *message)
{
    link->asked_last = false;
    if (link->state == LINK_READY) {
        put(link, message);
        return true;
    }
    wire_fini(message);
    wire_init(message);
    return false;
}

static enum err send_now(struct bus_link *link, struct wire_message *message)
{
    enum err err = wire_send(link->socket, false, message);
    if (err == ERR_OK)
        link->last_sent = loop_now(link->bus->loop);
    wire_fini(message);
    return err;
}

static void put_plain(struct bus_link *link, enum proto_type type)
{
    struct wire_message message;
    wire_init(&message);
    message.header = (struct proto_header){.type = type, .instance = link->bus->instance};
    put(link, &message);
}

static void ping(struct bus_link *link)
{
    link->pings++;
    put_plain(link, PROTO_PING);
}

/* That the socket took a message does not say that it will come to the broker: closing the socket
 * drops what its thread has not yet passed on. A PONG says so, for all that was sent before. */
bool link_delivered(struct bus_link *link)
{
    if (link->state != LINK_READY)
        return true;
    if (!link->asked_last)
        ping(link);
    link->asked_last = true;
    return link->pings == 0;
}

static json_t *hello_metadata(const struct bus *bus)
{
    json_t *methods = json_array();
    for (size_t i = 0; i < bus->options.method_count; i++)
        json_array_append_new(methods, json_string(bus->options.methods[i].name));
    return json_pack("{s:s, s:o, s:s}", "service", bus->service ? bus->service : "", "methods",
                     methods, "version", MCPBUS_VERSION);
}

static void greet(struct bus_link *link)
{
    struct bus *bus = link->bus;
    struct wire_message hello;
    wire_init(&hello);
    link->answered = 0;
    link->limit_sent = serve_allowance(bus);
    hello.header = (struct proto_header){
        .type = PROTO_HELLO, .instance = bus->instance, .credit = link->limit_sent};
    json_t *metadata = hello_metadata(bus);
    char *text = js_dump(metadata);
    json_decref(metadata);
    wire_set_owned(&hello.metadata, text, strlen(text));
    if (send_now(link, &hello) == ERR_OK) {
        link->state = LINK_GREETED;
        link->since = link->last_received = loop_now(bus->loop);
    }
}

static void keep_alive(struct bus_link *link)
{
    int64_t now = loop_now(link->bus->loop);
    if (now - link->last_received > PROTO_DEAD_AFTER_MS) {
        restart(link, true);
        return;
    }
    flush_out(link);
    if (now - link->last_sent >= PROTO_PING_AFTER_MS && !link->out_head)
        ping(link);
}

/* A name that leads nowhere may stand for another address by now. */
static bool name_is_due(const struct bus_link *link)
{
    return !link->resolving && !bus_resolve_is_numeric(link->endpoint) &&
           loop_now(link->bus->loop) - link->since > LOOK_AGAIN_MS;
}

static void on_tick(void *arg)
{
    struct bus_link *link = arg;
    link->monitor_due = true;
    if (!link->begun && loop_now(link->bus->loop) >= link->not_before)
        begin(link);
    if (link->state == LINK_CONNECTING && link->up)
        greet(link);
    if (link->state == LINK_CONNECTING && name_is_due(link))
        restart(link, true);
    if (link->state == LINK_GREETED &&
        loop_now(link->bus->loop) - link->since > PROTO_DEAD_AFTER_MS)
        restart(link, true);
    if (link->state == LINK_READY)
        keep_alive(link);
    if (!loop_timer_active(link->timer))
        loop_timer_start(link->timer, link->state == LINK_CONNECTING ? CONNECT_TICK_MS : TICK_MS);
}

void link_open(struct bus_link *link, struct bus *bus, const char *endpoint)
{
    *link = (struct bus_link){.bus = bus, .endpoint = mem_strdup(endpoint)};
    link->timer = loop_timer_new(bus->loop, on_tick, link);
    open_socket(link);
    loop_timer_start(link->timer, 1);
}

void link_close(struct bus_link *link)
{
    if (!link->socket)
        return;
    drop_out(link);
    loop_defer_cancel(link->bus->loop, deferred_restart, link);
    bus_resolve_end(&link->resolving);
    loop_timer_destroy(&link->timer);
    if (link->state == LINK_READY) {
        put_plain(link, PROTO_DISCONNECT);
        drop_out(link); /* if it can't leave, the broker finds out by itself */
        int linger = 100;
        zmq_setsockopt(link->socket, ZMQ_LINGER, &linger, sizeof linger);
    }
    close_socket(link);
    json_decref(link->services);
    free(link->endpoint);
    link->socket = NULL;
}

void link_grant_credit(struct bus_link *link)
{
    unsigned allowance = serve_allowance(link->bus);
    uint32_t limit = link->answered + allowance;
    if (link->state != LINK_READY || limit - link->limit_sent < (allowance + 3) / 4)
        return;
    struct wire_message message;
    wire_init(&message);
    message.header = (struct proto_header){
        .type = PROTO_CREDIT, .instance = link->bus->instance, .credit = limit};
    link->limit_sent = limit;
    link_send(link, &message);
}

static void on_welcome(struct bus_link *link)
{
    if (link->state != LINK_GREETED)
        return;
    link->state = LINK_READY;
    *link->complaint = '\0';
    if (away_wants_none(link->bus))
        away_tell(link);
    log_debug("bus_connected", LOG_S("endpoint", link->endpoint));
    calls_on_link_ready(link->bus);
}

static void dispatch(struct bus_link *link, struct wire_message *m)
{
    link->last_received = loop_now(link->bus->loop);
    switch (m->header.type) {
    case PROTO_WELCOME:
        on_welcome(link);
        break;
    case PROTO_PING: /* the broker counts them */
        put_plain(link, PROTO_PONG);
        break;
    case PROTO_PONG:
        link->pings -= link->pings > 0;
        break;
    case PROTO_REQUEST:
        serve_on_request(link->bus, link, m);
        break;
    case PROTO_PARTIAL:
    case PROTO_FINAL:
        calls_on_answer(link->bus, m);
        break;
    case PROTO_CANCEL:
        serve_on_cancel(link->bus, &m->header);
        break;
    case PROTO_PEERS:
        peers_on_list(link->bus, link, m);
        break;
    case PROTO_DRAIN:
        link->draining = true;
        break;
    case PROTO_DISCONNECT:
        if (m->header.status == ERR_DENIED)
            secure_denied(link, m);
        restart(link, m->header.status == ERR_DENIED);
        break;
    default:
        break;
    }
}

/* What the monitor has told, which is not in the order of the messages: a broker's last answers may
 * be unread when its connection is known to have ended. */
static void take_news(struct bus_link *link)
{
    enum link_news news = NEWS_NONE;
    link->monitor_due = false;
    while ((news = secure_news(link)) != NEWS_NONE) {
        if (news == NEWS_UP) {
            link->up = true;
            link->failures = 0;
            if (link->state == LINK_CONNECTING)
                greet(link);
            continue;
        }
        if (news == NEWS_DOWN) {
            link->down = link->draining = true;
            link->up = false;
            return;
        }
        secure_failed(link, news);
        restart(link, true);
        return;
    }
}

/* A connection that has ended gets a new socket, so that nothing of it reaches the next one. */
static void end_of_messages(struct bus_link *link)
{
    if (link->down)
        restart(link, true);
}

bool link_turn(struct bus_link *link)
{
    struct wire_message message;
    wire_init(&message);
    bool busy = false;
    if (link->monitor_due)
        take_news(link);
    uint32_t generation = link->generation;
    for (int i = 0; i < BUS_RECV_BUDGET && link->generation == generation; i++) {
        enum err err = wire_recv(link->socket, false, &message);
        if (err == ERR_TIMEOUT) {
            end_of_messages(link);
            break;
        }
        busy = true;
        if (err == ERR_OK) {
            dispatch(link, &message);
        } else {
            log_debug("bus_bad_frame", LOG_S("endpoint", link->endpoint));
            restart(link, true);
        }
    }
    wire_fini(&message);
    if (link->state == LINK_READY)
        flush_out(link);
    return busy;
}

struct bus_link *bus_pick_link(struct bus *bus, bool for_call)
{
    struct bus_link *last = NULL;
    for (size_t i = 0; i < bus->link_count; i++) {
        struct bus_link *link = &bus->links[bus->next_link++ % bus->link_count];
        if (link->state == LINK_READY && !link->draining)
            return link;
        if (link->state == LINK_READY)
            last = link;
    }
    return for_call ? NULL : last;
}

void bus_backlog(const struct bus *bus, size_t *ret_messages, size_t *ret_bytes)
{
    size_t messages = 0, bytes = 0;
    for (size_t i = 0; i < bus->link_count; i++) {
        const struct bus_link *link = &bus->links[i];
        messages = link->out_count > messages ? link->out_count : messages;
        bytes = link->out_bytes > bytes ? link->out_bytes : bytes;
    }
    *ret_messages = messages;
    *ret_bytes = bytes;
}
