/* What the parts of Calendar's API share. */
#ifndef MCPBUS_SANDBOX_CALENDAR_H
#define MCPBUS_SANDBOX_CALENDAR_H

#include "services/sandbox/data.h"
#include "services/sandbox/errors.h"

/* Does the path name the user's own calendar? False after a 404. */
bool calendar_is_own(struct call *call);
bool calendar_is_own_id(const struct call *call, const char *id);
const char *calendar_zone(const struct call *call);

/* {date} or {dateTime, timeZone?} as milliseconds since 1970; days begin in the calendar's zone, as
 * do times without an offset that name no zone of their own. ERR_INVALID: neither. */
MUST_CHECK enum err calendar_when(const struct call *call, const json_t *when, int64_t *ret_ms);
/* "start" or "end" of a stored event. */
int64_t calendar_time(const struct call *call, const json_t *event, const char *key);
bool calendar_is_cancelled(const json_t *event);

/* The event of the path, borrowed; NULL after a 404, or a 412 when If-Match names another state of
 * it. */
json_t *calendar_own_event(struct call *call);
/* Answers with an event (borrowed) in the zone of ?timeZone or the calendar's. */
void calendar_reply(struct call *call, const json_t *event);
/* The same as a value; the caller's. */
json_t *calendar_view(struct call *call, const json_t *event);

struct calendar_range {
    int64_t min, max;  /* ms */
    int64_t changed;   /* only events changed since then */
    const char *words; /* NULL: any */
    bool cancelled;    /* deleted ones too */
};
/* The events in the range by their start; `events` has room for ACCOUNT_ITEMS_MAX. */
size_t calendar_select(struct call *call, const struct calendar_range *range, json_t **events);

#endif
