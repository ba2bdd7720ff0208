/* Inside runs: one run and its state. runs.c keeps the table and decides; run_process.c is the side
 * of its process (access, start, messages). */
#ifndef MCPBUS_WORKER_RUNS_INTERNAL_H
#define MCPBUS_WORKER_RUNS_INTERNAL_H

#include "libcommon/map.h"
#include "services/worker/frames.h"
#include "services/worker/outbox.h"
#include "services/worker/partials.h"
#include "services/worker/run_table.h"
#include "services/worker/run_trace.h"
#include "services/worker/runs.h"
#include "services/worker/tool_memory.h"

enum worker_run_state {
    RUN_WAITING,  /* for a free slot */
    RUN_STARTING, /* its history and access are being fetched */
    RUN_RUNNING,  /* has or had a process */
};

struct worker_run {
    struct runs *runs;
    uint64_t id; /* ours; names it to the zygote and the outboxes */
    char *job_id, *user_id, *message;
    int64_t attempt;
    uint64_t from;    /* the jobs replica that sent it */
    int64_t taken_at; /* clock_ms */
    int64_t deadline; /* hard; clock_ms */
    int64_t time_ms;
    enum worker_run_state state;
    bool asked;            /* for approval; it says no more events */
    bool alive;            /* the zygote has not told its end yet */
    bool killed;           /* by us */
    bool silent;           /* taken away: nothing is said of it any more */
    json_t *options;       /* NULL: none */
    char *conversation_id; /* NULL: none */
    json_t *turns;         /* its earlier ones; NULL: none */
    json_t *usage;         /* of all attempts so far, as the events tell; NULL: not known */

    struct frame_peer *peer; /* its process's socket; NULL: none, or closed */
    int64_t killed_at;       /* clock_ms */
    int64_t done_at;         /* when it said "done", 0: not yet */
    uint64_t call;           /* for history or access */
    json_t *history;         /* see history.h; NULL: a first attempt */
    int64_t history_after;
    struct model_call *model_call;
    int64_t turn;                /* that it asks the model for */
    struct partial_run *partial; /* NULL: nobody has watched it yet */
    struct run_trace trace;
    json_t *tool_keys; /* {server: its key in tool_memory} */

    json_t *events; /* not sent yet; NULL: none */
    size_t event_bytes;
    size_t appending; /* events in flight */
    int64_t last_event;
    bool ack_wanted; /* when all events are on record */

    json_t *outcome; /* the item for jobs.finish; NULL: still at work */
    bool finishing;  /* it is in the outbox */
    bool finished;   /* it is on record */
};

struct runs {
    struct runs_options options;
    struct run_table *table;
    struct map *by_id;
    struct outbox *append, *finish;
    struct loop_timer *sweep;
    struct partials *partials;
    struct tool_memory *tools; /* that runs before have found */
    uint64_t next_id;
    int64_t lease_until;
    size_t working;   /* neither WAITING nor FINISHED */
    size_t finishing; /* in the finish outbox, without a process */
    bool released;
};

/* Does what the run's state asks for; may free it. */
void run_advance(struct worker_run *run);
/* Sets the outcome, once: `error` or (from the run itself) `item`, consumed. */
void run_end(struct worker_run *run, const char *outcome, const char *error);
void run_end_item(struct worker_run *run, json_t *item);
/* What an event, or the store, says that all attempts have used. */
void run_note_usage(struct worker_run *run, json_t *usage);
/* Kills its process, if any, and whatever it waits for. */
void run_stop(struct worker_run *run);

/* run_process.c */
void run_process_begin(struct worker_run *run);
void run_process_ended(struct worker_run *run, enum zygote_end end, int status);

/* run_partial.c */
struct partials *run_partials_new(struct runs *runs);

#endif
