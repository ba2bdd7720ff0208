/* Answers that are held back for a while. */
#ifndef MCPBUS_SANDBOX_DELAY_H
#define MCPBUS_SANDBOX_DELAY_H

#include "libcommon/buf.h"
#include "services/sandbox/sandbox.h"

struct reply {
    const char *type; /* a literal */
    struct buf body;
    bool stream;     /* sent chunked */
    bool cut;        /* a stream whose connection ends without its end */
    bool stall;      /* a stream that neither goes on nor ends */
    int64_t drip_ms; /* between two events of a stream; 0: all at once */
    bool begun;      /* its head is sent */
};

/* Answers 200 after `delay_ms`; takes the body. A client that has left is forgotten. */
void reply_later(struct sandbox *sandbox, uint64_t request_id, struct reply *reply,
                 int64_t delay_ms);
/* Drops what still waits. */
void replies_drop(struct sandbox *sandbox);

#endif
