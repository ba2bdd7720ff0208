/* The worker's life as jobs knows it: a session with a lease, opened anew when it was lost. Sends
 * the offers too. By the worker's own clock, counted from the last renewal that it *sent*, all runs
 * are ended before the lease can have run out. */
#ifndef MCPBUS_WORKER_SESSION_H
#define MCPBUS_WORKER_SESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "libcommon/bus.h"

struct session;

struct session_options {
    struct loop *loop;
    struct bus *bus;
    unsigned capacity;
    json_t *(*held)(void *arg); /* [{job_id, attempt}]; consumed here */
    unsigned (*free_slots)(void *arg);
    void (*leased)(void *arg, int64_t until); /* runs may live until then (clock_ms) */
    /* The store's list of what it believes we hold, as of a renewal sent at `sent_at`. */
    void (*renewed)(void *arg, const json_t *held, int64_t sent_at);
    void (*lost)(void *arg); /* no run may live */
    void *arg;
};

/* Starts to open it. */
struct session *session_new(const struct session_options *options);
void session_destroy(struct session **session_p);

/* Its id while it is held, else NULL. */
const char *session_id(const struct session *session);
/* A replica sent runs; `ordinal` is that of the newest. */
void session_received(struct session *session, uint64_t from, int64_t ordinal);
/* The free slots have changed: offers go out at the end of this turn. */
void session_slots_changed(struct session *session);
/* Takes no more runs, or does again; what is here goes on. It outlasts the session, and jobs hears
 * it with each renewal. */
void session_set_draining(struct session *session, bool draining);
bool session_is_draining(const struct session *session);
/* {session, instance, received, slots} for one replica; NULL while there is no session. */
json_t *session_offer(struct session *session, uint64_t instance);

/* Ends it: no more offers; session_closed is true once jobs has heard (or could not). */
void session_close(struct session *session);
bool session_closed(const struct session *session);

#endif
