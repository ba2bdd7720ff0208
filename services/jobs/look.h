/* One look at something that is dear serves all who ask for it within its time: answers are shared,
 * and a look that takes long is good for longer. */
#ifndef MCPBUS_JOBS_LOOK_H
#define MCPBUS_JOBS_LOOK_H

#include "services/jobs/jobs.h"

enum { LOOK_ASKING_MAX = 64 };

struct look {
    struct jobs *jobs;
    void (*begin)(struct look *look); /* look_end must follow some time later */
    json_t *result;                   /* NULL: not looked yet */
    int64_t began, fresh_until;
    bool looking;
    struct bus_call *asking[LOOK_ASKING_MAX];
    size_t asking_count;
};

void look_init(struct look *look, struct jobs *jobs, void (*begin)(struct look *look));
void look_fini(struct look *look);
void look_ask(struct look *look, struct bus_call *call);
/* `result` is borrowed. */
void look_end(struct look *look, enum err error, json_t *result);
/* Those who ask now get this instead of an answer; the look itself goes on. */
void look_give_up(struct look *look, const char *why);

#endif
