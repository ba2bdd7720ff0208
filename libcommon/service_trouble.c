#include "libcommon/service_trouble.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/log.h"
#include "libcommon/mem.h"

/* A start, a restart of the broker or a failover takes a moment, and is none. */
enum { LOOK_MS = 500, LASTS_MS = 3000, AGAIN_MS = 10000 };

struct service_trouble {
    struct loop *loop;
    struct loop_timer *timer;
    service_trouble_fn *find;
    void *arg;
    int64_t since, said_at; /* 0: there is none; it has not been said */
    char said[SERVICE_TROUBLE_SIZE];
};

static void say(struct service_trouble *trouble, const char *why)
{
    log_error("not_ready", LOG_S("why", why));
    memcpy(trouble->said, why, sizeof trouble->said);
    trouble->said_at = loop_now(trouble->loop);
}

static void passed(struct service_trouble *trouble)
{
    if (trouble->said_at)
        log_info("ready_again");
    trouble->since = trouble->said_at = 0;
}

static void on_look(void *arg)
{
    struct service_trouble *trouble = arg;
    char why[SERVICE_TROUBLE_SIZE] = "";
    int64_t now = loop_now(trouble->loop);
    loop_timer_start(trouble->timer, LOOK_MS);
    if (!trouble->find(trouble->arg, why)) {
        passed(trouble);
        return;
    }
    if (!trouble->since)
        trouble->since = now;
    bool due = trouble->said_at
                   ? strcmp(why, trouble->said) != 0 && now - trouble->said_at >= AGAIN_MS
                   : now - trouble->since >= LASTS_MS;
    if (due)
        say(trouble, why);
}

struct service_trouble *service_trouble_new(struct loop *loop, service_trouble_fn *find, void *arg)
{
    struct service_trouble *trouble = mem_alloc(sizeof *trouble);
    trouble->loop = loop;
    trouble->find = find;
    trouble->arg = arg;
    trouble->timer = loop_timer_new(loop, on_look, trouble);
    loop_timer_start(trouble->timer, LOOK_MS);
    return trouble;
}

void service_trouble_destroy(struct service_trouble **trouble_p)
{
    struct service_trouble *trouble = *trouble_p;
    if (!trouble)
        return;
    *trouble_p = NULL;
    loop_timer_destroy(&trouble->timer);
    free(trouble);
}
