/* The scopes that Calendar's methods take. Any one of a mask's bits allows the method. */
#ifndef MCPBUS_GOOGLE_SCOPES_CALENDAR_H
#define MCPBUS_GOOGLE_SCOPES_CALENDAR_H

#include "services/google/scopes.h"

enum scopes_calendar {
    /* events.insert, .patch, .delete of the user's own calendar. */
    SCOPES_CALENDAR_WRITE = SCOPE_CALENDAR | SCOPE_CALENDAR_EVENTS | SCOPE_CALENDAR_EVENTS_OWNED,
    /* events.list of it. */
    SCOPES_CALENDAR_LIST = SCOPES_CALENDAR_WRITE | SCOPE_CALENDAR_READONLY |
                           SCOPE_CALENDAR_EVENTS_READONLY | SCOPE_CALENDAR_EVENTS_OWNED_READONLY,
    /* freebusy.query. */
    SCOPES_CALENDAR_FREE_BUSY = SCOPE_CALENDAR | SCOPE_CALENDAR_READONLY | SCOPE_CALENDAR_FREEBUSY |
                                SCOPE_CALENDAR_EVENTS_FREEBUSY,
    /* Free times are read from the one or the other. */
    SCOPES_CALENDAR_AVAILABILITY = SCOPES_CALENDAR_LIST | SCOPES_CALENDAR_FREE_BUSY,
};

#endif
