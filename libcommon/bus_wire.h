/* Messages of the bus on a ZeroMQ socket: four frames, with the routing id before them on a ROUTER.
 * Private to the bus and the broker. Frames are moved, not copied. Owner's thread only. */
#ifndef MCPBUS_BUS_WIRE_H
#define MCPBUS_BUS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "libcommon/err.h"
#include "proto/proto.h"

struct wire_message {
    struct proto_header header;
    zmq_msg_t route; /* on a ROUTER: whom from; else empty */
    zmq_msg_t method, metadata, body;
};

void wire_init(struct wire_message *message);
void wire_fini(struct wire_message *message);

/* Receives without waiting. ERR_OK; ERR_TIMEOUT: nothing there; ERR_BAD_FRAME or ERR_VERSION: a
 * message that does not fit (consumed; on a ROUTER `route` tells whose). ERR_INTERNAL: the socket
 * is unusable. Whatever `message` held is released first. */
MUST_CHECK enum err wire_recv(void *socket, bool router, struct wire_message *message);

/* Sends without waiting; on success the message is empty, else it is as it was. ERR_OVERLOADED: the
 * high-water mark; ERR_PEER_LOST: no such peer (ROUTER), or not connected. */
MUST_CHECK enum err wire_send(void *socket, bool router, struct wire_message *message);

/* Replaces a frame by a copy of the data. */
void wire_set(zmq_msg_t *frame, const void *data, size_t len);
/* The same, taking over memory that free() releases. */
void wire_set_owned(zmq_msg_t *frame, char *data, size_t len);

/* The key that the sender of a received message has proved to own, as ZAP's User-Id says (from a
 * frame behind the routing id, which lacks it at times); NULL: plain. Valid as long as the message.
 */
const char *wire_user(struct wire_message *message);
/* The descriptor of the connection that it came by, libzmq's own; −1: unknown. */
int wire_descriptor(struct wire_message *message);

size_t wire_bytes(const struct wire_message *message);

/* Sets what every socket of the bus needs: linger, limits, keepalive, no ZMTP heartbeats. */
void wire_socket_setup(void *socket, int high_water_mark);

#endif
