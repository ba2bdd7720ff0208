/* Inside the agent: agent.c asks and judges the answers, agent_calls.c makes the calls of a turn,
 * agent_start.c builds what the model is told first, agent_end.c says how a run ended. */
#ifndef MCPBUS_WORKER_AGENT_INTERNAL_H
#define MCPBUS_WORKER_AGENT_INTERNAL_H

#include "libcommon/err.h"
#include "services/worker/agent.h"
#include "services/worker/agent_budget.h"
#include "services/worker/agent_context.h"
#include "services/worker/agent_tools.h"
#include "services/worker/history.h"

struct agent {
    const struct agent_task *task;
    const struct agent_ops *ops;
    struct agent_budget budget;
    struct agent_context context;
    struct agent_tools *tools;
    json_t *ids;     /* of all calls, as the keys of an object */
    char *last_text; /* of the model; NULL: none yet */
    int empty_answers;
    /* What the newest answer took, until an event of its turn has told it; NULL: it has. */
    json_t *model_call;
    int64_t asked_for_ms; /* that took until the answer */
    int64_t room;         /* of the last question: what its answer was allowed; 0: no limit */
    json_t *end;          /* the run's end; NULL: it goes on */
};

/* agent_start.c */
void agent_start(struct agent *agent, struct history_past *past);

/* agent_calls.c */
/* The calls of an answer: recorded, made, recorded and answered in the conversation, in order; or
 * the run's end, when one has to wait. The assistant's message is the newest one there already. */
enum err agent_calls_make(struct agent *agent, const json_t *calls, bool was_cut);
/* The same for those that an earlier attempt has left open. */
enum err agent_calls_resume(struct agent *agent, const json_t *open);
/* A copy of an answer's calls as the conversation keeps them: distinct ids, at most
 * HISTORY_CALLS_MAX, each {id, name, text}. */
json_t *agent_calls_copy(struct agent *agent, const json_t *tool_calls);

/* agent_end.c: each sets the run's end. */
void agent_end_completed(struct agent *agent, const char *text);
void agent_end_error(struct agent *agent, const char *outcome, const char *why);
/* Failed; the result keeps the text, or what was found so far when that is NULL. */
void agent_end_kept(struct agent *agent, const char *why, const char *text);
void agent_end_waiting(struct agent *agent);

json_t *agent_capped(const char *text, size_t max);
/* Adds to an event's data {turn, usage}, and to the first event of a turn `model_call`. */
void agent_add_counters(struct agent *agent, json_t *data);

#endif
