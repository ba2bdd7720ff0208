/* JSON messages over a socketpair between the worker's loop and a run: four bytes of length in
 * network order, then the text. At most FRAME_MAX bytes; the peer that breaks that is lost. */
#ifndef MCPBUS_WORKER_FRAMES_H
#define MCPBUS_WORKER_FRAMES_H

#include <jansson.h>
#include <stdbool.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"
#include "libcommon/loop.h"

enum { FRAME_MAX = 8 << 20, FRAME_HEAD = 4 };

/* Appends one frame. ERR_TOO_LARGE: nothing was added. */
MUST_CHECK enum err frame_encode(const json_t *value, struct buf *out);

/* Takes the next whole frame out of `in`. *ret_value is NULL when there is none yet. ERR_INVALID,
 * ERR_TOO_LARGE: the stream is broken for good. */
MUST_CHECK enum err frame_take(struct buf *in, json_t **ret_value);

/* The blocking form, for the run: sends all of a frame. ERR_PEER_LOST, ERR_TOO_LARGE. */
MUST_CHECK enum err frame_send(int fd, const json_t *value);
/* Receives what is there, without waiting. ERR_PEER_LOST: the other end is closed. */
MUST_CHECK enum err frame_fill(int fd, struct buf *in);

/* The loop's form. `on_frame` is called from the loop with each frame (borrowed), and once with
 * NULL when the peer has gone or broke the rules; it may destroy the peer. Owns the fd. */
struct frame_peer;
typedef void frame_peer_fn(void *arg, json_t *frame);
struct frame_peer *frame_peer_new(struct loop *loop, int fd, frame_peer_fn *on_frame, void *arg);
void frame_peer_destroy(struct frame_peer **peer_p);
/* Queues a frame (borrowed). ERR_TOO_LARGE when the peer doesn't read what it was sent. */
MUST_CHECK enum err frame_peer_send(struct frame_peer *peer, const json_t *frame);
/* While paused nothing is read: the run waits in its next send. */
void frame_peer_pause(struct frame_peer *peer, bool paused);

#endif
