#include "services/worker/model_gate.h"

enum { PACE_FIRST_MS = 50, PACE_MAX_MS = 2000, PACE_NONE_MS = 5 };

void model_gate_refused(struct model_gate *gate, int64_t now, int64_t sent, int64_t wait)
{
    if (now + wait > gate->closed_until)
        gate->closed_until = now + wait;
    /* Those that were on their way already tell nothing of the pace as it is now. */
    if (gate->pace && sent < gate->changed)
        return;
    gate->pace = gate->pace ? gate->pace * 2 : PACE_FIRST_MS;
    if (gate->pace > PACE_MAX_MS)
        gate->pace = PACE_MAX_MS;
    gate->changed = now;
}

void model_gate_answered(struct model_gate *gate, int64_t sent)
{
    if (!gate->pace || sent < gate->changed)
        return;
    gate->pace = gate->pace * 3 / 4;
    if (gate->pace < PACE_NONE_MS)
        gate->pace = 0;
}

int64_t model_gate_wait(const struct model_gate *gate, int64_t now)
{
    int64_t open = gate->pace && gate->next > gate->closed_until ? gate->next : gate->closed_until;
    return open > now ? open - now : 0;
}

void model_gate_pass(struct model_gate *gate, int64_t now)
{
    gate->next = now + gate->pace;
}
