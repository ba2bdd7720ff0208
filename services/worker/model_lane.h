/* The calls to one model, in the order in which they may go: what it has refused so far, and the
 * gate that all of them pass. One thread, the loop's. */
#ifndef MCPBUS_WORKER_MODEL_LANE_H
#define MCPBUS_WORKER_MODEL_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/loop.h"

struct model_lanes;

struct model_lane {
    unsigned lacks; /* MODEL_LACKS_… */
    const char *model;
};

/* A call's place in its lane; zeroed before the first use. */
struct model_place {
    struct model_place *next, *prev;
    bool waiting;
};

/* `go(place)` is called when a call may go, from within model_lane_enter or later. */
typedef void model_go_fn(struct model_place *place);
struct model_lanes *model_lanes_new(struct loop *loop, model_go_fn *go);
void model_lanes_destroy(struct model_lanes **lanes_p);

/* The lane of that model; beyond some dozens of models the further ones share one. Borrowed; lives
 * as long as the lanes. */
struct model_lane *model_lanes_get(struct model_lanes *lanes, const char *model);

void model_lane_enter(struct model_lane *lane, struct model_place *place);
void model_lane_leave(struct model_lane *lane, struct model_place *place);

/* A call that went at `sent` (clock_ms) was refused as one too many, or answered. */
void model_lane_refused(struct model_lane *lane, int64_t sent, int64_t wait_ms);
void model_lane_answered(struct model_lane *lane, int64_t sent);

#endif
