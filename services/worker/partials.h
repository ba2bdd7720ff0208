/* The model's text as it comes, for the gateways that have somebody who watches a run. What the
 * model has said lies with its call; a few times a second it is looked at here, for those runs
 * alone. So a watcher that comes late, or is served late, misses nothing. One thread, the loop's.
 */
#ifndef MCPBUS_WORKER_PARTIALS_H
#define MCPBUS_WORKER_PARTIALS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/loop.h"

enum {
    PARTIALS_PACE_MS = 80,
    PARTIALS_WATCHERS_MAX = 8,      /* of a run; the further ones wait for one to go */
    PARTIALS_TEXT_MAX = 16 << 10,   /* of a turn, as in its event */
    PARTIALS_ROUND_BYTES = 1 << 20, /* sent at once; the rest comes the next time */
    PARTIALS_ANEW_MS = 500,    /* between two beginnings, however many of a gateway's want one */
    PARTIALS_CROSSED_MS = 1000 /* for which a watch may not know yet of the last part */
};

struct partials_options {
    struct loop *loop;
    int64_t watch_ms; /* for which one watch is good */
    /* Sends gateway.partial to that gateway; consumes `args`. */
    void (*send)(void *arg, uint64_t gateway, json_t *args);
    /* Is there room for more on the bus? */
    bool (*has_room)(void *arg);
    void *arg;
};

struct partials;
struct partials *partials_new(const struct partials_options *options);
/* After the last of its partial_runs. */
void partials_destroy(struct partials **partials_p);

/* A turn's text so far. */
struct partial_text {
    const char *text; /* UTF-8, borrowed for the look alone */
    size_t len;
    uint64_t number; /* above 0; another one: the text began anew */
    int64_t turn;
};

/* A run that is watched. False: nothing is being said. Names are borrowed. */
typedef bool partial_look_fn(void *arg, struct partial_text *ret_text);
struct partial_run;
struct partial_run *partial_run_new(struct partials *partials, const char *job_id,
                                    const char *user_id, int64_t attempt, partial_look_fn *look,
                                    void *arg);
void partial_run_destroy(struct partial_run **run_p);

/* That gateway watches it from now on, and waits for the part `next`: if that is another one than
 * it would get, it soon gets the turn's text from the beginning. */
void partial_run_watch(struct partial_run *run, uint64_t gateway, int64_t next);

#endif
