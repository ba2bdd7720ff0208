#include "libcommon/bus_wire.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What CURVE adds to a frame (RFC 26: name, nonce, flags, authenticator) counts for
 * ZMQ_MAXMSGSIZE, too. */
enum { CURVE_BYTES = 64 };

void wire_init(struct wire_message *message)
{
    message->header = (struct proto_header){0};
    zmq_msg_init(&message->route);
    zmq_msg_init(&message->method);
    zmq_msg_init(&message->metadata);
    zmq_msg_init(&message->body);
}

void wire_fini(struct wire_message *message)
{
    zmq_msg_close(&message->route);
    zmq_msg_close(&message->method);
    zmq_msg_close(&message->metadata);
    zmq_msg_close(&message->body);
}

static void skip_rest(void *socket, bool more)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (more && zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0)
        more = zmq_msg_more(&frame);
    zmq_msg_close(&frame);
}

/* Receives the frames of one message into `frames`; false when their number is not `count`. */
static bool recv_frames(void *socket, zmq_msg_t **frames, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (!zmq_msg_more(frames[i - 1]) || zmq_msg_recv(frames[i], socket, ZMQ_DONTWAIT) < 0)
            return false;
    }
    bool more = zmq_msg_more(frames[count - 1]);
    skip_rest(socket, more);
    return !more;
}

static bool within_limits(const struct wire_message *m)
{
    return zmq_msg_size(&m->method) <= PROTO_METHOD_MAX_BYTES &&
           zmq_msg_size(&m->metadata) <= PROTO_METADATA_MAX_BYTES &&
           zmq_msg_size(&m->body) <= PROTO_BODY_MAX_BYTES;
}

enum err wire_recv(void *socket, bool router, struct wire_message *message)
{
    zmq_msg_t header;
    wire_fini(message);
    wire_init(message);
    zmq_msg_init(&header);
    zmq_msg_t *frames[] = {&message->route, &header, &message->method, &message->metadata,
                           &message->body};
    size_t first = router ? 0 : 1, count = router ? 5 : 4;
    enum err err = ERR_BAD_FRAME;
    if (zmq_msg_recv(frames[first], socket, ZMQ_DONTWAIT) < 0)
        err = errno == EAGAIN || errno == EINTR ? ERR_TIMEOUT : ERR_INTERNAL;
    else if (recv_frames(socket, frames + first, count) && within_limits(message))
        err = proto_header_decode(zmq_msg_data(&header), zmq_msg_size(&header), &message->header);
    zmq_msg_close(&header);
    return err;
}

static enum err send_error(void)
{
    return errno == EHOSTUNREACH ? ERR_PEER_LOST : ERR_OVERLOADED;
}

enum err wire_send(void *socket, bool router, struct wire_message *message)
{
    if (router) {
        /* Only the first frame tells whether the peer can take the message (trap of ROUTER). The
         * route is copied so that a refused message is still whole. */
        zmq_msg_t route;
        zmq_msg_init(&route);
        zmq_msg_copy(&route, &message->route);
        if (zmq_msg_send(&route, socket, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
            enum err err = send_error();
            zmq_msg_close(&route);
            return err;
        }
    }
    zmq_msg_t header;
    zmq_msg_init_size(&header, PROTO_HEADER_BYTES);
    proto_header_encode(&message->header, zmq_msg_data(&header));
    if (zmq_msg_send(&header, socket, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        enum err err = send_error();
        zmq_msg_close(&header);
        return err;
    }
    /* After the first part of a message libzmq takes the rest. */
    zmq_msg_send(&message->method, socket, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_msg_send(&message->metadata, socket, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_msg_send(&message->body, socket, ZMQ_DONTWAIT);
    wire_fini(message);
    wire_init(message);
    return ERR_OK;
}

void wire_set(zmq_msg_t *frame, const void *data, size_t len)
{
    zmq_msg_close(frame);
    int rc = zmq_msg_init_size(frame, len);
    assert(rc == 0);
    (void)rc;
    if (len)
        memcpy(zmq_msg_data(frame), data, len);
}

static void free_owned(void *data, void *hint)
{
    (void)hint;
    free(data);
}

void wire_set_owned(zmq_msg_t *frame, char *data, size_t len)
{
    zmq_msg_close(frame);
    int rc = zmq_msg_init_data(frame, data, len, free_owned, NULL);
    assert(rc == 0);
    (void)rc;
}

const char *wire_user(struct wire_message *message)
{
    return zmq_msg_gets(&message->body, "User-Id");
}

int wire_descriptor(struct wire_message *message)
{
    return zmq_msg_get(&message->body, ZMQ_SRCFD);
}

size_t wire_bytes(const struct wire_message *message)
{
    return PROTO_HEADER_BYTES + zmq_msg_size(&message->method) + zmq_msg_size(&message->metadata) +
           zmq_msg_size(&message->body);
}

static void set_int(void *socket, int option, int value)
{
    int rc = zmq_setsockopt(socket, option, &value, sizeof value);
    assert(rc == 0);
    (void)rc;
}

void wire_socket_setup(void *socket, int high_water_mark)
{
    int64_t max = PROTO_BODY_MAX_BYTES + CURVE_BYTES;
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max);
    set_int(socket, ZMQ_LINGER, 0);
    set_int(socket, ZMQ_SNDHWM, high_water_mark);
    set_int(socket, ZMQ_RCVHWM, high_water_mark);
    set_int(socket, ZMQ_HANDSHAKE_IVL, 3000);
    set_int(socket, ZMQ_HEARTBEAT_IVL, 0);
    set_int(socket, ZMQ_TCP_KEEPALIVE, 1);
    set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, 10);
    set_int(socket, ZMQ_TCP_KEEPALIVE_INTVL, 5);
    set_int(socket, ZMQ_TCP_KEEPALIVE_CNT, 3);
}
