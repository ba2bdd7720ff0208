/* The broker: a ROUTER socket that passes requests to replicas by credit and their answers back. It
 * holds no truth: who is connected, and what is under way through it. Loop's thread only. */
#ifndef MCPBUS_BROKER_H
#define MCPBUS_BROKER_H

#include <stdbool.h>

#include "libcommon/err.h"
#include "libcommon/loop.h"

struct broker;

/* Binds; port 0: a free one. ERR_CONFLICT: the address is taken or not ours. */
MUST_CHECK enum err broker_new(struct loop *loop, const char *address, int port,
                               struct broker **ret_broker);
/* Takes no new requests, and tells every peer to use another broker. */
void broker_drain(struct broker *broker);
/* Nothing is under way through it. */
bool broker_drained(const struct broker *broker);
/* Says goodbye to every peer. */
void broker_destroy(struct broker **broker_p);
const char *broker_endpoint(const struct broker *broker); /* as bound: tcp://127.0.0.1:5550 */

#endif
