/* What the sim_store*.c files share: kinds of statements, and the items of batches. */
#ifndef MCPBUS_SIM_SIM_STORE_H
#define MCPBUS_SIM_SIM_STORE_H

#include "services/jobs/store.h"

enum op {
    OP_SUBMIT, /* these in groups */
    OP_CLAIM,
    OP_APPEND,
    OP_FINISH,
    OP_PARK,
    OP_RENEW,
    OP_GROUPS,
    OP_LOOKUP = OP_GROUPS,
    OP_MISSING,
    OP_SCAN,
    OP_REAP,
    OP_CANCEL,
    OP_DECIDE,
    OP_FORGET,
    OP_OPEN,
    OP_CLOSE,
    OP_GET,
    OP_EVENTS,
    OP_COUNTS,
    OP_PING,
};

/* A copy in the world's memory, for a statement that may outlive its instance. */
void *item_copy(enum op op, const void *item);
/* Gives a copy's results to the item, and the item to its owner. */
void item_give(enum op op, void *item, const void *copy);
void item_set_error(enum op op, void *copy, enum err error);

#endif
