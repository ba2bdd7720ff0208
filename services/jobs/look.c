#include "services/jobs/look.h"

enum { FRESH_MS = 1000, FRESH_MAX_MS = 10000, SHARE = 10 /* of the time that a look takes */ };

void look_init(struct look *look, struct jobs *jobs, void (*begin)(struct look *look))
{
    *look = (struct look){.jobs = jobs, .begin = begin};
}

void look_fini(struct look *look)
{
    json_decref(look->result);
    look->result = NULL;
}

void look_ask(struct look *look, struct bus_call *call)
{
    int64_t now = loop_now(look->jobs->loop);
    if (look->result && now < look->fresh_until) {
        bus_reply(&call, json_incref(look->result));
        return;
    }
    if (look->asking_count == LOOK_ASKING_MAX) {
        jobs_reply_error(&call, ERR_OVERLOADED);
        return;
    }
    look->asking[look->asking_count++] = call;
    if (look->looking)
        return;
    look->looking = true;
    look->began = now;
    look->begin(look);
}

void look_end(struct look *look, enum err error, json_t *result)
{
    int64_t now = loop_now(look->jobs->loop), fresh = SHARE * (now - look->began);
    look->looking = false;
    if (!error) {
        json_decref(look->result);
        look->result = json_incref(result);
        fresh = fresh < FRESH_MS ? FRESH_MS : fresh < FRESH_MAX_MS ? fresh : FRESH_MAX_MS;
        look->fresh_until = now + fresh;
    }
    for (size_t i = 0; i < look->asking_count; i++)
        if (error)
            jobs_reply_error(&look->asking[i], error);
        else
            bus_reply(&look->asking[i], json_incref(result));
    look->asking_count = 0;
}

void look_give_up(struct look *look, const char *why)
{
    for (size_t i = 0; i < look->asking_count; i++)
        bus_reply_busy(&look->asking[i], ERR_OVERLOADED, JOBS_RETRY_MS, why);
    look->asking_count = 0;
}
