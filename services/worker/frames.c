#include "services/worker/frames.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { READ_CHUNK = 64 << 10, OUT_MAX = 2 * FRAME_MAX + 64 };

enum err frame_encode(const json_t *value, struct buf *out)
{
    AUTOFREE char *text = js_dump(value);
    size_t len = strlen(text);
    if (len > FRAME_MAX || out->len + FRAME_HEAD + len > out->max)
        return ERR_TOO_LARGE;
    uint32_t head = htonl((uint32_t)len);
    buf_add(out, &head, sizeof head);
    buf_add(out, text, len);
    return buf_check(out);
}

enum err frame_take(struct buf *in, json_t **ret_value)
{
    uint32_t head;
    if (in->len < sizeof head) {
        *ret_value = NULL;
        return ERR_OK;
    }
    memcpy(&head, in->data, sizeof head);
    size_t len = ntohl(head);
    if (len > FRAME_MAX)
        return ERR_TOO_LARGE;
    if (in->len < FRAME_HEAD + len) {
        *ret_value = NULL;
        return ERR_OK;
    }
    json_t *value;
    enum err err = js_parse(in->data + FRAME_HEAD, len, &value, NULL);
    if (err)
        return err;
    if (!json_is_object(value)) {
        json_decref(value);
        return ERR_INVALID;
    }
    buf_consume(in, FRAME_HEAD + len);
    *ret_value = value;
    return ERR_OK;
}

enum err frame_send(int fd, const json_t *value)
{
    struct buf out;
    buf_init(&out, FRAME_MAX + FRAME_HEAD);
    enum err err = frame_encode(value, &out);
    for (size_t sent = 0; !err && sent < out.len;) {
        ssize_t n = send(fd, out.data + sent, out.len - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else if (errno != EINTR)
            err = ERR_PEER_LOST;
    }
    buf_fini(&out);
    return err;
}

enum err frame_fill(int fd, struct buf *in)
{
    char *room = buf_reserve(in, READ_CHUNK);
    if (!room)
        return ERR_TOO_LARGE;
    ssize_t n = recv(fd, room, READ_CHUNK, MSG_DONTWAIT);
    if (n > 0) {
        in->len += (size_t)n;
        in->data[in->len] = '\0';
        return ERR_OK;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return ERR_OK;
    return ERR_PEER_LOST;
}

struct frame_peer {
    struct loop *loop;
    int fd;
    frame_peer_fn *on_frame;
    void *arg;
    struct buf in, out;
    bool paused, broken;
    bool kick;  /* frames may be waiting in `in`: deliver them at the next turn */
    bool *gone; /* set by destroy, for a callback that is under way */
};

static void watch(struct frame_peer *peer)
{
    uint32_t events = (peer->paused ? 0 : EPOLLIN) | (peer->out.len || peer->kick ? EPOLLOUT : 0);
    loop_fd_change(peer->loop, peer->fd, events);
}

static void break_off(struct frame_peer *peer)
{
    if (peer->broken)
        return;
    peer->broken = true;
    loop_fd_remove(peer->loop, peer->fd);
    peer->on_frame(peer->arg, NULL);
}

/* Hands out the whole frames that are here; false when the peer is no more. */
static bool deliver(struct frame_peer *peer)
{
    bool gone = false;
    peer->gone = &gone;
    while (!peer->paused && !peer->broken) {
        json_t *frame = NULL;
        enum err err = frame_take(&peer->in, &frame);
        if (!err && !frame)
            break;
        if (err)
            break_off(peer);
        else
            peer->on_frame(peer->arg, frame);
        json_decref(frame);
        if (gone)
            return false;
    }
    peer->gone = NULL;
    return !peer->broken;
}

static bool flush(struct frame_peer *peer)
{
    while (peer->out.len) {
        ssize_t n = send(peer->fd, peer->out.data, peer->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        buf_consume(&peer->out, (size_t)n);
    }
    return true;
}

static void on_fd(void *arg, uint32_t events)
{
    struct frame_peer *peer = arg;
    bool hangup = events & (EPOLLHUP | EPOLLERR);
    peer->kick = false;
    if ((events & EPOLLOUT) && !flush(peer)) {
        break_off(peer);
        return;
    }
    enum err err = ERR_OK;
    if (!peer->paused && (hangup || (events & EPOLLIN)))
        err = frame_fill(peer->fd, &peer->in);
    if (!deliver(peer))
        return;
    /* The end is seen again when a paused peer goes on; until then epoll would report it for ever.
     */
    if (peer->paused && hangup)
        loop_fd_remove(peer->loop, peer->fd);
    else if (err && !peer->paused)
        break_off(peer);
    else
        watch(peer);
}

struct frame_peer *frame_peer_new(struct loop *loop, int fd, frame_peer_fn *on_frame, void *arg)
{
    struct frame_peer *peer = mem_alloc(sizeof *peer);
    peer->loop = loop;
    peer->fd = fd;
    peer->on_frame = on_frame;
    peer->arg = arg;
    buf_init(&peer->in, FRAME_MAX + FRAME_HEAD + READ_CHUNK);
    buf_init(&peer->out, OUT_MAX);
    loop_fd_add(loop, fd, EPOLLIN, on_fd, peer);
    return peer;
}

void frame_peer_destroy(struct frame_peer **peer_p)
{
    struct frame_peer *peer = *peer_p;
    if (!peer)
        return;
    *peer_p = NULL;
    if (peer->gone)
        *peer->gone = true;
    loop_fd_remove(peer->loop, peer->fd);
    close(peer->fd);
    buf_fini(&peer->in);
    buf_fini(&peer->out);
    free(peer);
}

enum err frame_peer_send(struct frame_peer *peer, const json_t *frame)
{
    if (peer->broken)
        return ERR_PEER_LOST;
    enum err err = frame_encode(frame, &peer->out);
    if (!err && flush(peer))
        watch(peer);
    return err;
}

void frame_peer_pause(struct frame_peer *peer, bool paused)
{
    if (peer->broken || peer->paused == paused)
        return;
    peer->paused = paused;
    peer->kick = !paused;
    loop_fd_remove(peer->loop, peer->fd); /* it may have been taken out after a hang-up */
    loop_fd_add(peer->loop, peer->fd, 0, on_fd, peer);
    watch(peer);
}
