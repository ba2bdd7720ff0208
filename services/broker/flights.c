/* Requests under way through this broker. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "services/broker/internal.h"

enum { GRACE_MS = 1000 };

struct flight *flight_find(const struct broker *broker, uint64_t instance, uint64_t seq)
{
    struct flight_key key = {instance, seq};
    return map_get(broker->flights, &key, sizeof key);
}

enum err flight_begin(struct broker *broker, const struct proto_header *request,
                      struct peer *caller, struct peer *server)
{
    if (map_count(broker->flights) >= FLIGHTS_MAX)
        return ERR_OVERLOADED;
    if (caller->share && caller->share->flights >= SHARE_FLIGHTS_MAX)
        return ERR_OVERLOADED;
    if (flight_find(broker, request->instance, request->seq))
        return ERR_BAD_FRAME;
    struct flight *flight = mem_alloc(sizeof *flight);
    *flight = (struct flight){.key = {request->instance, request->seq},
                              .caller = caller,
                              .server = server,
                              .started_us = metric_now_us(),
                              .expires = loop_now(broker->loop) + request->ttl_ms + GRACE_MS};
    map_put(broker->flights, &flight->key, sizeof flight->key, flight);
    caller->flights++;
    server->flights++;
    if (caller->share)
        caller->share->flights++;
    return ERR_OK;
}

void flight_end(struct broker *broker, struct flight *flight)
{
    map_take(broker->flights, &flight->key, sizeof flight->key);
    flight->caller->flights--;
    flight->server->flights--;
    if (flight->caller->share)
        flight->caller->share->flights--;
    free(flight);
}

void flight_refuse(struct broker *broker, struct peer *caller, uint64_t seq, uint32_t parts,
                   enum err error)
{
    struct wire_message message;
    count_refused(error);
    wire_init(&message);
    message.header = (struct proto_header){.type = PROTO_FINAL,
                                           .status = error,
                                           .instance = caller->instance,
                                           .seq = seq,
                                           .part = parts};
    AUTOFREE char *body = mem_printf("{\"detail\":\"%s\"}", err_text(error));
    wire_set(&message.body, body, strlen(body));
    peer_send(broker, caller, &message);
}

/* Where the caller has gone nobody waits for the answer, and a deadline may be an hour away. */
void flights_peer_lost(struct broker *broker, struct peer *peer)
{
    size_t at = 0;
    struct flight *flight = NULL;
    while (peer->flights && (flight = map_next(broker->flights, &at))) {
        if (flight->caller != peer && flight->server != peer)
            continue;
        if (flight->caller != peer && !flight->caller->dead)
            flight_refuse(broker, flight->caller, flight->key.seq, flight->parts, ERR_PEER_LOST);
        flight_end(broker, flight);
    }
}

/* The caller keeps its own deadline; this only forgets. */
void flights_expire(struct broker *broker)
{
    int64_t now = loop_now(broker->loop);
    size_t at = 0;
    struct flight *flight = NULL;
    while ((flight = map_next(broker->flights, &at)))
        if (flight->expires < now)
            flight_end(broker, flight);
}

void flights_free(struct broker *broker)
{
    size_t at = 0;
    struct flight *flight = NULL;
    while ((flight = map_next(broker->flights, &at)))
        free(flight);
    map_destroy(&broker->flights);
}
