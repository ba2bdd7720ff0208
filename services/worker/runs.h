/* The runs of a worker, from their dispatch to the answer that their outcome is on record. */
#ifndef MCPBUS_WORKER_RUNS_H
#define MCPBUS_WORKER_RUNS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "libcommon/bus.h"
#include "services/settings.h"
#include "services/worker/mcp_config.h"
#include "services/worker/model.h"
#include "services/worker/zygote.h"

struct runs;

struct runs_options {
    struct loop *loop;
    struct bus *bus;
    const struct settings *settings;
    /* NULL, all three, in echo mode. Borrowed. */
    struct zygote *zygote;
    struct model *model;
    struct mcp_config *config;
    json_t *agent;         /* the job frames' `settings` */
    mcp_lookup_fn *lookup; /* for the servers' environment */
    void *lookup_arg;
    /* What goes with a batch to a replica: {session, offer?}; NULL: no session. */
    json_t *(*envelope)(void *arg, uint64_t instance, bool with_offer);
    void (*slots_changed)(void *arg);
    void (*broken)(void *arg); /* the zygote is gone, and all runs: the worker has to end */
    void *arg;
};

struct runs *runs_new(const struct runs_options *options);
/* Its processes must have ended. */
void runs_destroy(struct runs **runs_p);

/* A dispatched run (borrowed, an item of worker.run), from replica `from`. Doubled ones are
 * dropped, and those beyond what may wait. */
void runs_take(struct runs *runs, uint64_t from, json_t *run);
/* The store has taken it away: it is killed, and nothing is said of it. */
void runs_kill(struct runs *runs, const char *job_id, int64_t attempt);
/* The session is lost: as runs_kill for all. */
void runs_kill_all(struct runs *runs);
/* Ends with outcome `released` what does not run yet; `running` too: everything. New ones are no
 * longer taken. */
void runs_release(struct runs *runs, bool running);

/* That gateway has somebody who watches this job of this user's: it is sent what the model says as
 * it comes, for a while (see partial_run_watch). */
void runs_watch(struct runs *runs, const char *job_id, const char *user_id, uint64_t gateway,
                int64_t next);

/* No run acts from then on (clock_ms). */
void runs_leased(struct runs *runs, int64_t until);
json_t *runs_held(const struct runs *runs); /* [{job_id, attempt}] */
/* Kills what the store did not list and we had before `sent_at`. */
void runs_reconcile(struct runs *runs, const json_t *held, int64_t sent_at);
unsigned runs_free_slots(const struct runs *runs);
size_t runs_count(const struct runs *runs);
/* Those that wait for a slot, that are at work, and whose outcome is being recorded. */
struct runs_load {
    size_t waiting, working, finishing;
};
struct runs_load runs_load(const struct runs *runs);

#endif
