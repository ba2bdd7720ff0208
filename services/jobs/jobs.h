/* What the files of the jobs service share: its state, requests of many items, and what goes out.
 */
#ifndef MCPBUS_JOBS_JOBS_H
#define MCPBUS_JOBS_JOBS_H

#include <jansson.h>

#include "libcommon/bus.h"
#include "libcommon/service.h"
#include "proto/tables.h"
#include "services/jobs/fair_queue.h"
#include "services/jobs/slots.h"
#include "services/jobs/store.h"
#include "services/settings.h"

enum {
    JOBS_MESSAGE_MAX = 262144,
    JOBS_KEY_MAX = 256,
    JOBS_HASH_MAX = 128,
    JOBS_OPTIONS_MAX = 262144,
    JOBS_ITEMS_MAX = 1024,     /* of a request */
    JOBS_WAITING_MAX = 100000, /* ids in memory */
    JOBS_RETRY_MS = 1000,
    JOBS_SILENCE_MS = 3000, /* a database that is silent for so long is away */
};

struct request;
struct outbox;
struct webhooks;

struct jobs {
    struct loop *loop;
    struct bus *bus;
    const struct settings *settings;
    struct store *store;
    struct bus_reach *reach;
    struct fair_queue *queue;
    struct slots *slots;
    struct webhooks *webhooks;
    bool draining;
    struct request *requests; /* unanswered */
    struct loop_timer *deadlines;
    size_t submit_bytes;

    /* dispatch.c */
    struct outbox *outboxes;
    size_t claiming;
    bool overflow; /* the store has queued jobs that did not fit here */
    bool scanning;
    int64_t scan_backoff, scan_next, scan_began;
    struct loop_timer *scan_timer;
    struct buf hints; /* ids as JSON strings, behind the head of their message */
    size_t hint_count;
    struct buf run_text; /* of one run, kept for the next */

    /* upkeep.c */
    struct loop_timer *upkeep_timer;
    bool was_ready, reaping, counting;
    char said[256]; /* why the database is away */
    int64_t said_at;
    int64_t reap_next, reap_began, count_next, count_began;
    struct loop_timer *sweep_timer;
    int64_t sweep_began, sweep_pause, swept;
    int64_t queued, running;
    enum err count_error;
    bool pinging;
    int64_t ping_next, answered_at; /* when the database last answered; 0: not yet */

    struct operators *operators; /* operators.c */
    struct insight *insight;     /* insight.c */

    /* runs.c */
    int64_t missing_next, missing_began;
};

/* A request of several items, answered with {"results": […]} once each has its result, or with
 * TIMEOUT at the caller's deadline; items that end later end silently. */
struct request {
    struct jobs *jobs;
    struct bus_call *call; /* NULL: answered */
    json_t *args;          /* kept for the items */
    size_t count, left;
    struct request *next, **prev_next;
    struct request_result {
        char *text; /* a JSON object; NULL: {} */
        size_t len;
    } results[];
};
struct request *request_new(struct jobs *jobs, struct bus_call *call, json_t *args, size_t count);
/* Sets an item's result, a JSON object as text (emptied; NULL: {}). The last one frees the request.
 */
void request_set(struct request *request, size_t index, struct buf *result);
void request_set_error(struct request *request, size_t index, enum err error, const char *detail);
void requests_init(struct jobs *jobs);
void requests_fini(struct jobs *jobs);
/* Answers a call with an error of the store's. */
void jobs_reply_error(struct bus_call **call_p, enum err error);

/* dispatch.c: from the queue to the workers. */
void dispatch_init(struct jobs *jobs);
void dispatch_fini(struct jobs *jobs);
/* A job waits: it is queued here, or counted on the next scan. */
void dispatch_queued(struct jobs *jobs, const char *job_id, const char *user_id);
/* Sends a run to the worker; ordinal 0: sent again. */
void dispatch_run(struct jobs *jobs, const struct store_run *run, int64_t ordinal);
/* Tells every gateway, with the turn's others. */
void dispatch_hint(struct jobs *jobs, const char *job_id);
/* What rows that changed mean: hints, cancels to workers, jobs that wait again. */
void dispatch_changes(struct jobs *jobs, const struct store_change *changes, size_t count);
/* Slots came free, or jobs may wait in the store: look soon. */
void dispatch_wake(struct jobs *jobs);

/* operators.c */
void operators_init(struct jobs *jobs);
void operators_fini(struct jobs *jobs);

/* insight.c */
void insight_init(struct jobs *jobs);
void insight_fini(struct jobs *jobs);

/* webhooks.c: tells the addresses that came with jobs. ERR_INVALID: a setting, said on stderr. */
MUST_CHECK enum err webhooks_new(struct jobs *jobs, struct webhooks **ret_webhooks);
void webhooks_destroy(struct webhooks **webhooks_p); /* when the store has gone */
bool webhooks_configured(const struct webhooks *webhooks);
/* Takes no more; true once nothing is under way. */
bool webhooks_drain(struct webhooks *webhooks);

/* get_many.c: a job's JSON, as jobs.get_many and the REST API have it. */
void jobs_add_job(struct buf *out, const struct store_job *job);

void upkeep_init(struct jobs *jobs);
void upkeep_fini(struct jobs *jobs);

/* The methods; their first argument is the runtime's. */
static inline struct jobs *jobs_of(void *service)
{
    return ((struct service *)service)->state;
}
bus_handler_fn jobs_submit, jobs_get, jobs_get_many, jobs_list, jobs_events, jobs_cancel,
    jobs_decide, jobs_conversation, jobs_forget, jobs_health, jobs_session_open, jobs_session_renew,
    jobs_session_close, jobs_offer, jobs_append, jobs_finish, jobs_workers, jobs_find, jobs_recent,
    jobs_stats, jobs_errors, jobs_database;

/* Is it the data of an event `waiting_approval`, {calls: [{id, name, …}], …}? */
bool jobs_asks_approval(const json_t *data);
/* Is it an id: 1 to STORE_ID_MAX characters of [A-Za-z0-9._-]? */
bool jobs_is_id(const char *text);

#endif
