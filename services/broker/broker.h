/* The broker: a ROUTER socket that passes requests to replicas by credit and their answers back. It
 * holds no truth: who is connected, and what is under way through it. What a peer may do follows
 * from its key alone. Loop's thread only. */
#ifndef MCPBUS_BROKER_H
#define MCPBUS_BROKER_H

#include <stdbool.h>

#include "libcommon/bus_cert.h"
#include "libcommon/err.h"
#include "libcommon/loop.h"

struct broker;

struct broker_options {
    const char *address;
    int port; /* 0: a free one */
    /* CURVE: its own secret certificate `key`, and the folder `keys` with the public ones that it
     * admits, which is read again when it changes; or `plain`: anyone, on loopback alone. */
    bool plain;
    const char *keys, *key;
    int64_t memory_mib; /* of this process, beyond which it ends; 0: no limit */
};

/* Binds. ERR_CONFLICT: the address is taken or not ours; ERR_DENIED: the keys, or plain beyond
 * loopback. `ret_why` has the line for the user. */
MUST_CHECK enum err broker_new(struct loop *loop, const struct broker_options *options,
                               struct broker **ret_broker, char ret_why[BUS_WHY_SIZE]);
/* Takes no new requests, and tells every peer to use another broker. */
void broker_drain(struct broker *broker);
/* Nothing is under way through it, and every peer has read what it was sent. Asks them, so call
 * again. */
bool broker_drained(struct broker *broker);
/* Says goodbye to every peer. */
void broker_destroy(struct broker **broker_p);
const char *broker_endpoint(const struct broker *broker); /* as bound: tcp://127.0.0.1:5550 */

#endif
