/* Runs whose user watches them: see partials.h. */
#include <stdio.h>
#include <string.h>

#include "services/worker/runs_internal.h"

enum {
    WATCH_MS = 15000,
    /* What waits to leave, above which nothing is added. */
    BACKLOG_MESSAGES = 1000,
    BACKLOG_BYTES = 4 << 20,
};

static void on_send(void *arg, uint64_t gateway, json_t *args)
{
    const struct runs *runs = arg;
    char instance[17], method[48];
    bus_instance_format(gateway, instance);
    snprintf(method, sizeof method, "gateway@%s.partial", instance);
    bus_send(runs->options.bus, method, args);
}

static bool has_room(void *arg)
{
    const struct runs *runs = arg;
    size_t messages, bytes;
    bus_backlog(runs->options.bus, &messages, &bytes);
    return messages <= BACKLOG_MESSAGES && bytes <= BACKLOG_BYTES;
}

struct partials *run_partials_new(struct runs *runs)
{
    struct partials_options options = {.loop = runs->options.loop,
                                       .watch_ms = WATCH_MS,
                                       .send = on_send,
                                       .has_room = has_room,
                                       .arg = runs};
    return partials_new(&options);
}

static bool look(void *arg, struct partial_text *ret_text)
{
    const struct worker_run *run = arg;
    if (run->silent || run->killed || run->outcome || !run->model_call || run->turn < 1 ||
        !model_text(run->model_call, &ret_text->text, &ret_text->len, &ret_text->number))
        return false;
    ret_text->turn = run->turn;
    return true;
}

/* The latest attempt: an earlier one may still be on its way out. */
static struct worker_run *find(const struct runs *runs, const char *job_id)
{
    struct worker_run *run, *found = NULL;
    size_t at = 0;
    while ((run = run_table_next(runs->table, &at)))
        if (strcmp(run->job_id, job_id) == 0 && (!found || run->attempt > found->attempt))
            found = run;
    return found;
}

void runs_watch(struct runs *runs, const char *job_id, const char *user_id, uint64_t gateway,
                int64_t next)
{
    struct worker_run *run = runs->options.zygote ? find(runs, job_id) : NULL;
    if (!run || run->silent || run->outcome || strcmp(run->user_id, user_id) != 0)
        return;
    if (!run->partial)
        run->partial =
            partial_run_new(runs->partials, run->job_id, run->user_id, run->attempt, look, run);
    partial_run_watch(run->partial, gateway, next);
}
