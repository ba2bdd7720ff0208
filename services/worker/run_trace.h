/* What a run's spans and log lines need to be found together: whose request it came from, in which
 * trace, and what it is at. On the worker's loop: the run's own process only gets the text of its
 * context (run_trace_job), and the loop tells of its model and tool calls as it sees them. */
#ifndef MCPBUS_WORKER_RUN_TRACE_H
#define MCPBUS_WORKER_RUN_TRACE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "libcommon/span.h"

enum { RUN_TRACE_CALLS_MAX = 64 };

struct run_trace {
    char *request_id, *state; /* NULL: none */
    char trace_id[TRACE_ID_SIZE];
    bool told; /* somebody follows it: what it calls gets the context as well */
    struct span span;
    int64_t started_us, forked_us; /* metric_now_us; 0: not, or it has spoken since */
    struct span model;
    int64_t model_us;
    char *model_name;
    struct run_trace_call *calls;
    size_t call_count;
};

/* From an item of worker.run. */
void run_trace_begin(struct run_trace *trace, const json_t *run);
/* Its process says something. */
void run_trace_first_word(struct run_trace *trace);
/* Once, with its outcome; what it was at has come to nothing. */
void run_trace_end(struct run_trace *trace, const char *job_id, int64_t attempt,
                   const char *outcome);
void run_trace_fini(struct run_trace *trace);

/* For the job frame: {traceparent, tracestate?}; NULL: none. */
json_t *run_trace_job(const struct run_trace *trace);
/* A question to the model: its frame gets the context that goes with it. */
void run_trace_ask(struct run_trace *trace, json_t *frame, const char *default_model);
void run_trace_answer(struct run_trace *trace, const char *job_id, const json_t *answer);
/* tool_call and tool_result, as the events have them. */
void run_trace_event(struct run_trace *trace, const char *job_id, const char *type,
                     const json_t *data);

#define RUN_TRACE_FIELDS(trace) \
    LOG_S("request_id", (trace)->request_id), LOG_S("trace_id", (trace)->trace_id)

#endif
