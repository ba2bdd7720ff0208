/* ZAP (RFC 27): libzmq asks here, over a socket of the same context, whether a key may connect.
 * With no answerer it would let anyone in, so this is bound before the broker's own socket, which
 * enforces it besides. Why not zauth: docs/decisions/0021. */
#include <string.h>
#include <sys/epoll.h>

#include "libcommon/log.h"
#include "services/broker/internal.h"

enum { FRAMES = 7, FRAME_SIZE = 256, BUDGET = 64 };

/* Version, request id, domain, address, routing id, mechanism, key. */
struct question {
    char frames[FRAMES][FRAME_SIZE];
    size_t len[FRAMES];
    bool whole;
};
enum { VERSION, REQUEST_ID, DOMAIN_NAME, ADDRESS, ROUTING_ID, MECHANISM, KEY };

static void on_readable(void *arg, uint32_t events)
{
    /* Only wakes the loop; the work is done in zap_turn(). */
    (void)arg;
    (void)events;
}

enum err zap_open(struct broker *broker)
{
    broker->zap = zmq_socket(broker->context, ZMQ_REP);
    if (!broker->zap || zmq_bind(broker->zap, "inproc://zeromq.zap.01") < 0)
        return ERR_INTERNAL;
    size_t len = sizeof broker->zap_fd;
    zmq_getsockopt(broker->zap, ZMQ_FD, &broker->zap_fd, &len);
    loop_fd_add(broker->loop, broker->zap_fd, EPOLLIN, on_readable, broker);
    return ERR_OK;
}

void zap_close(struct broker *broker)
{
    if (!broker->zap)
        return;
    int none = 0;
    if (broker->zap_fd >= 0)
        loop_fd_remove(broker->loop, broker->zap_fd);
    zmq_setsockopt(broker->zap, ZMQ_LINGER, &none, sizeof none);
    zmq_close(broker->zap);
}

/* False: nothing to read. */
static bool receive(void *socket, struct question *question)
{
    zmq_msg_t frame;
    size_t count = 0;
    bool more = true;
    *question = (struct question){.whole = true};
    zmq_msg_init(&frame);
    while (more && zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0) {
        size_t len = zmq_msg_size(&frame);
        if (count < FRAMES && len < FRAME_SIZE) {
            memcpy(question->frames[count], zmq_msg_data(&frame), len);
            question->len[count] = len;
        } else {
            question->whole = false;
        }
        count++;
        more = zmq_msg_more(&frame);
    }
    zmq_msg_close(&frame);
    question->whole &= count == FRAMES && question->len[KEY] == BUS_KEY_BYTES &&
                       strcmp(question->frames[VERSION], "1.0") == 0 &&
                       strcmp(question->frames[MECHANISM], "CURVE") == 0;
    return count > 0;
}

static void answer(void *socket, const struct question *question, bool yes, const char *user)
{
    zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(socket, question->frames[REQUEST_ID], question->len[REQUEST_ID], ZMQ_SNDMORE);
    zmq_send(socket, yes ? "200" : "400", 3, ZMQ_SNDMORE);
    zmq_send(socket, yes ? "OK" : "NO", 2, ZMQ_SNDMORE);
    zmq_send(socket, user, strlen(user), ZMQ_SNDMORE);
    zmq_send(socket, "", 0, 0);
}

static void decide(struct broker *broker, const struct question *question)
{
    char key[BUS_KEY_TEXT_SIZE] = "";
    if (question->whole)
        zmq_z85_encode(key, (const uint8_t *)question->frames[KEY], BUS_KEY_BYTES);
    bool yes = question->whole && keys_admitted(broker, key);
    if (!yes && audit_note(broker, false))
        log_warning("key_refused", LOG_S("address", question->frames[ADDRESS]), LOG_S("key", key));
    answer(broker->zap, question, yes, yes ? key : "");
}

bool zap_turn(struct broker *broker)
{
    struct question question;
    int count = 0;
    while (broker->zap && count < BUDGET && receive(broker->zap, &question)) {
        decide(broker, &question);
        count++;
    }
    return count > 0;
}
