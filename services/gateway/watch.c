#include "services/gateway/gateway.h"

#include <string.h>

#include "libcommon/map.h"
#include "libcommon/mem.h"

struct watch {
    struct watches *watches;
    watch_fn *changed;
    void *arg;
    struct watch *prev, *next; /* of the same job; the map has the first */
    size_t job_len;
    char job_id[];
};

struct watches {
    struct map *jobs;
};

struct watches *watches_new(void)
{
    struct watches *watches = mem_alloc(sizeof(*watches));
    watches->jobs = map_new();
    return watches;
}

void watches_destroy(struct watches **watches_p)
{
    struct watches *watches = *watches_p;
    if (!watches)
        return;
    *watches_p = NULL;
    map_destroy(&watches->jobs);
    free(watches);
}

struct watch *watch_new(struct watches *watches, const char *job_id, watch_fn *changed, void *arg)
{
    size_t len = strlen(job_id);
    struct watch *watch = mem_alloc(sizeof(*watch) + len);
    watch->watches = watches;
    watch->changed = changed;
    watch->arg = arg;
    watch->job_len = len;
    memcpy(watch->job_id, job_id, len);
    watch->next = map_put(watches->jobs, job_id, len, watch);
    if (watch->next)
        watch->next->prev = watch;
    return watch;
}

void watch_free(struct watch **watch_p)
{
    struct watch *watch = *watch_p;
    if (!watch)
        return;
    *watch_p = NULL;
    if (watch->next)
        watch->next->prev = watch->prev;
    if (watch->prev)
        watch->prev->next = watch->next;
    else if (watch->next)
        map_put(watch->watches->jobs, watch->job_id, watch->job_len, watch->next);
    else
        map_take(watch->watches->jobs, watch->job_id, watch->job_len);
    free(watch);
}

static void notify(struct watch *watch)
{
    struct watch *next;
    for (; watch; watch = next) {
        next = watch->next;
        watch->changed(watch->arg);
    }
}

void watches_notify(struct watches *watches, const char *job_id)
{
    notify(map_get(watches->jobs, job_id, strlen(job_id)));
}

void watches_notify_all(struct watches *watches)
{
    size_t at = 0;
    for (struct watch *watch; (watch = map_next(watches->jobs, &at));)
        notify(watch);
}
