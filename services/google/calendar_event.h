/* How an event is told. Pure. */
#ifndef MCPBUS_GOOGLE_CALENDAR_EVENT_H
#define MCPBUS_GOOGLE_CALENDAR_EVENT_H

#include <jansson.h>

#include "libcommon/buf.h"

/* What is asked for of an event. */
#define EVENT_OWN_FIELDS                                                          \
    "id,status,summary,location,description,htmlLink,hangoutLink,start,end,etag," \
    "recurringEventId"
#define EVENT_FIELDS EVENT_OWN_FIELDS ",attendees(email,responseStatus,self)"
/* With all that is known of the guests, as it must be sent back. */
#define EVENT_WHOLE_FIELDS EVENT_OWN_FIELDS ",attendees"

/* Appends the event's title and, a line each, what is known of it; the same as a new object. */
json_t *event_tell(const json_t *event, struct buf *out);

#endif
