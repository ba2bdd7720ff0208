#include "services/worker/model_lane.h"

#include <string.h>

#include "libcommon/clock.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/worker/model_gate.h"

enum { LANES_MAX = 32 };

struct lane {
    struct model_lane face; /* first: what others see is this */
    struct model_lanes *lanes;
    char *model;
    struct model_gate gate;
    struct model_place *first, *last;
    struct loop_timer *timer;
};

struct model_lanes {
    struct loop *loop;
    model_go_fn *go;
    struct lane *lanes[LANES_MAX];
    size_t count;
};

struct model_lanes *model_lanes_new(struct loop *loop, model_go_fn *go)
{
    struct model_lanes *lanes = mem_alloc(sizeof *lanes);
    lanes->loop = loop;
    lanes->go = go;
    return lanes;
}

void model_lanes_destroy(struct model_lanes **lanes_p)
{
    struct model_lanes *lanes = *lanes_p;
    if (!lanes)
        return;
    *lanes_p = NULL;
    for (size_t i = 0; i < lanes->count; i++) {
        loop_timer_destroy(&lanes->lanes[i]->timer);
        free(lanes->lanes[i]->model);
        free(lanes->lanes[i]);
    }
    free(lanes);
}

static void take_out(struct lane *lane, struct model_place *place)
{
    *(place->prev ? &place->prev->next : &lane->first) = place->next;
    *(place->next ? &place->next->prev : &lane->last) = place->prev;
    *place = (struct model_place){0};
}

/* Lets those go whose time it is, and comes back for the next. */
static void release(void *arg)
{
    struct lane *lane = arg;
    int64_t now = clock_ms(), wait = 0;
    while (lane->first && !(wait = model_gate_wait(&lane->gate, now))) {
        struct model_place *place = lane->first;
        take_out(lane, place);
        model_gate_pass(&lane->gate, now);
        lane->lanes->go(place);
    }
    if (lane->first)
        loop_timer_start(lane->timer, wait);
    else
        loop_timer_stop(lane->timer);
}

struct model_lane *model_lanes_get(struct model_lanes *lanes, const char *model)
{
    for (size_t i = 0; i < lanes->count; i++)
        if (strcmp(lanes->lanes[i]->model, model) == 0)
            return &lanes->lanes[i]->face;
    if (lanes->count == LANES_MAX)
        return &lanes->lanes[LANES_MAX - 1]->face;
    struct lane *lane = mem_alloc(sizeof *lane);
    lane->lanes = lanes;
    lane->model = mem_strdup(model);
    lane->face.model = lane->model;
    lane->timer = loop_timer_new(lanes->loop, release, lane);
    lanes->lanes[lanes->count++] = lane;
    return &lane->face;
}

void model_lane_enter(struct model_lane *face, struct model_place *place)
{
    struct lane *lane = (struct lane *)face;
    place->waiting = true;
    place->next = NULL;
    place->prev = lane->last;
    *(lane->last ? &lane->last->next : &lane->first) = place;
    lane->last = place;
    if (lane->first == place)
        release(lane);
}

void model_lane_leave(struct model_lane *face, struct model_place *place)
{
    if (place->waiting)
        take_out((struct lane *)face, place);
}

void model_lane_refused(struct model_lane *face, int64_t sent, int64_t wait_ms)
{
    struct lane *lane = (struct lane *)face;
    int64_t pace = lane->gate.pace;
    model_gate_refused(&lane->gate, clock_ms(), sent, wait_ms);
    if (lane->gate.pace != pace)
        log_warning("model_limit", LOG_S("model", lane->model), LOG_I("wait_ms", wait_ms),
                    LOG_I("pace_ms", lane->gate.pace));
    if (lane->first)
        release(lane);
}

void model_lane_answered(struct model_lane *face, int64_t sent)
{
    model_gate_answered(&((struct lane *)face)->gate, sent);
}
