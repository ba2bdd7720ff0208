#include "libcommon/bus_reach.h"

#include <stdlib.h>

#include "libcommon/mem.h"
#include "libcommon/metrics.h"

enum { TICK_MS = 250, ASK_MS = 1000, SILENCE_MS = 3000 };

struct bus_reach {
    struct bus_reach_options options;
    struct loop_timer *timer;
    int64_t asked_at, answered_at;
    bool asking, answered;
};

static void on_tick(void *arg)
{
    struct bus_reach *reach = arg;
    int64_t now = loop_now(reach->options.loop);
    if (!reach->asking && now - reach->asked_at >= ASK_MS) {
        reach->asking = true;
        reach->asked_at = now;
        reach->options.ask(reach->options.arg, reach);
    }
    bus_set_away(reach->options.bus, now - reach->answered_at > SILENCE_MS);
    metric_set(metric_gauge("mcpbus_database_reachable", NULL, "1 when the database answers."),
               bus_reach_is_there(reach));
    loop_timer_start(reach->timer, TICK_MS);
}

struct bus_reach *bus_reach_new(const struct bus_reach_options *options)
{
    struct bus_reach *reach = mem_alloc(sizeof *reach);
    reach->options = *options;
    reach->answered_at = loop_now(options->loop);
    reach->timer = loop_timer_new(options->loop, on_tick, reach);
    loop_timer_start(reach->timer, 0);
    return reach;
}

void bus_reach_destroy(struct bus_reach **reach_p)
{
    struct bus_reach *reach = *reach_p;
    if (!reach)
        return;
    *reach_p = NULL;
    loop_timer_destroy(&reach->timer);
    free(reach);
}

bool bus_reach_is_there(const struct bus_reach *reach)
{
    return reach->answered && loop_now(reach->options.loop) - reach->answered_at <= SILENCE_MS;
}

void bus_reach_answered(struct bus_reach *reach, enum err error)
{
    reach->asking = false;
    if (error)
        return;
    reach->answered = true;
    reach->answered_at = loop_now(reach->options.loop);
}
