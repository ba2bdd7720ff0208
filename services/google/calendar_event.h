/* How an event is told. Pure. */
#ifndef MCPBUS_GOOGLE_CALENDAR_EVENT_H
#define MCPBUS_GOOGLE_CALENDAR_EVENT_H

#include <jansson.h>

#include "libcommon/buf.h"

/* What is asked for of an event. */
#define EVENT_FIELDS                                                              \
    "id,status,summary,location,description,htmlLink,hangoutLink,start,end,etag," \
    "recurringEventId,attendees(email,responseStatus,self)"

/* Appends the event's title and, a line each, what is known of it; the same as a new object. */
json_t *event_tell(const json_t *event, struct buf *out);

#endif
