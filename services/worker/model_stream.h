/* The body of a 200 as it comes, in pieces: server-sent events, or one JSON object where the
 * endpoint does not stream; its first byte tells. Pure; everything that comes may be an attacker's.
 */
#ifndef MCPBUS_WORKER_MODEL_STREAM_H
#define MCPBUS_WORKER_MODEL_STREAM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "services/worker/model_draft.h"
#include "services/worker/model_error.h"

enum {
    MODEL_BODY_MAX = 8 << 20,    /* of one JSON object */
    MODEL_STREAM_MAX = 64 << 20, /* of a whole stream */
    MODEL_EVENT_MAX = 4 << 20,
    MODEL_VALUES_MAX = 64 << 10, /* in either; the worker's loop stands still for them */
};

struct model_stream;

/* `key` (borrowed) never gets into an error's text. */
struct model_stream *model_stream_new(const char *key);
void model_stream_destroy(struct model_stream **stream_p);

/* Takes what has come. False: enough of it, close the connection; the verdict is there. */
bool model_stream_feed(struct model_stream *stream, const char *data, size_t len);

enum model_stream_state {
    MODEL_STREAM_OPEN,
    MODEL_STREAM_FINISHED, /* the answer is whole; its usage may still come */
    MODEL_STREAM_DONE,     /* nothing comes any more */
};
enum model_stream_state model_stream_state(const struct model_stream *stream);
/* See model_draft_text. */
const char *model_stream_text(struct model_stream *stream, size_t *ret_len);
/* Has it come as events? */
bool model_stream_is_events(const struct model_stream *stream);

enum model_verdict {
    MODEL_ANSWERED,
    MODEL_CUT,       /* it ended before its end */
    MODEL_MALFORMED, /* `why` tells */
    MODEL_REFUSED,   /* an error where an answer was due */
};
/* What it comes to, when no more comes: sets *ret_answer (see model_draft_end) or *ret_error. */
enum model_verdict model_stream_end(struct model_stream *stream, json_t **ret_answer,
                                    struct model_error *ret_error);

#endif
