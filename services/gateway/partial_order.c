#include "services/gateway/partial_order.h"

#include <string.h>

#include "libcommon/js.h"

static void begin_attempt(struct partial_order *order, int64_t attempt)
{
    order->attempt = attempt;
    order->turn = 0;
    order->next = 0;
}

bool partial_order_event(struct partial_order *order, const char *type, const json_t *data)
{
    int64_t turn = js_int(data, "turn", 0), attempt = js_int(data, "attempt", 0);
    if (turn > order->told)
        order->told = turn;
    if (strcmp(type, "status") != 0)
        return false;
    order->idle = strcmp(js_str(data, "status", ""), "running") != 0;
    if (order->idle)
        return false;
    if (attempt > order->attempt)
        begin_attempt(order, attempt);
    return true;
}

bool partial_order_take(struct partial_order *order, int64_t attempt, int64_t turn, int64_t part)
{
    if (attempt < order->attempt || turn <= order->told ||
        (attempt == order->attempt && turn < order->turn))
        return false;
    if (attempt > order->attempt)
        begin_attempt(order, attempt);
    bool fits = part == 0 || (turn == order->turn && part == order->next && order->next > 0);
    order->turn = turn;
    order->next = fits ? part + 1 : 0;
    return fits;
}

void partial_order_lose(struct partial_order *order)
{
    order->next = 0;
}
