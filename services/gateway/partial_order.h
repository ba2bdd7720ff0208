/* Which parts of the model's text one stream may pass on: each text from its beginning and without
 * gaps, none that is older than what the stream has told already. Pure; zeroed before use. */
#ifndef MCPBUS_GATEWAY_PARTIAL_ORDER_H
#define MCPBUS_GATEWAY_PARTIAL_ORDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct partial_order {
    int64_t attempt, turn; /* the newest seen */
    int64_t told;          /* the newest turn that an event has told of */
    int64_t next;          /* the part that comes next; 0: only one that begins anew */
    bool idle;             /* the job does not run, as far as its events tell */
};

/* An event of the job's was passed on. True: an attempt has begun. */
bool partial_order_event(struct partial_order *order, const char *type, const json_t *data);
/* May this part be passed on? */
bool partial_order_take(struct partial_order *order, int64_t attempt, int64_t turn, int64_t part);
/* What was taken last could not be passed on. */
void partial_order_lose(struct partial_order *order);

#endif
