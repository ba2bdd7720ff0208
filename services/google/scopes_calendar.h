/* The scopes that Calendar's methods take. Any one of a mask's bits allows the method. */
#ifndef MCPBUS_GOOGLE_SCOPES_CALENDAR_H
#define MCPBUS_GOOGLE_SCOPES_CALENDAR_H

#include "services/google/scopes.h"

enum scopes_calendar {
    /* events.list of the user's own calendar. */
    SCOPES_CALENDAR_LIST = SCOPE_CALENDAR | SCOPE_CALENDAR_READONLY | SCOPE_CALENDAR_EVENTS |
                           SCOPE_CALENDAR_EVENTS_READONLY | SCOPE_CALENDAR_EVENTS_OWNED |
                           SCOPE_CALENDAR_EVENTS_OWNED_READONLY,
};

#endif
