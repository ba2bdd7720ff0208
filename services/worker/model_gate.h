/* How fast a model may be asked after it said that this is too much: when hundreds of runs meet a
 * rate limit at once, they must not all come back at once. Closed for a while, then open for one
 * call after the other, slower after each further refusal and faster after each answer, until it is
 * simply open. Pure; times are milliseconds of one clock. */
#ifndef MCPBUS_WORKER_MODEL_GATE_H
#define MCPBUS_WORKER_MODEL_GATE_H

#include <stdint.h>

struct model_gate { /* zeroed: open */
    int64_t closed_until, pace, next, changed;
};

/* A call sent at `sent` was refused, and the endpoint wants `wait` of rest. */
void model_gate_refused(struct model_gate *gate, int64_t now, int64_t sent, int64_t wait);
/* A call sent at `sent` was answered. */
void model_gate_answered(struct model_gate *gate, int64_t sent);

/* How long from now until the next call may go; 0: at once. */
int64_t model_gate_wait(const struct model_gate *gate, int64_t now);
/* One goes. */
void model_gate_pass(struct model_gate *gate, int64_t now);

#endif
