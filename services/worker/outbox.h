/* Batched calls to jobs: items gather while the batch before them is in flight, and go out together
 * then; a batch that got no answer is sent again, for as long as the session lives. One outbox for
 * each method (jobs.append, jobs.finish). */
#ifndef MCPBUS_WORKER_OUTBOX_H
#define MCPBUS_WORKER_OUTBOX_H

#include <jansson.h>
#include <stdint.h>

#include "libcommon/bus.h"

enum { OUTBOX_ITEMS_MAX = 64, OUTBOX_BYTES_MAX = 2 << 20 };

struct outbox_options {
    struct loop *loop;
    struct bus *bus;
    const char *method; /* "append" */
    /* What else goes with a batch to `instance` (0: any): {session, …}; NULL: nothing can be sent
     * now. The caller's own object, consumed here. */
    json_t *(*envelope)(void *arg, uint64_t instance);
    /* An item's answer: ERR_OK with its result, or its error. ERR_TOO_LARGE or ERR_INVALID: it was
     * refused as it is. */
    void (*done)(void *arg, uint64_t id, enum err error, const json_t *result);
    void *arg;
};

struct outbox;
struct outbox *outbox_new(const struct outbox_options *options);
void outbox_destroy(struct outbox **outbox_p);

/* Adds an item (consumed) for the replica `instance` (0 or gone: any); `id` comes back in done. */
void outbox_add(struct outbox *outbox, uint64_t instance, uint64_t id, json_t *item);
/* Forgets all items: the session is over. */
void outbox_clear(struct outbox *outbox);

#endif
