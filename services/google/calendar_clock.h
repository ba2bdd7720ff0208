/* The calendar's own clock: what a time without a zone means. */
#ifndef MCPBUS_GOOGLE_CALENDAR_CLOCK_H
#define MCPBUS_GOOGLE_CALENDAR_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "services/google/api.h"
#include "services/google/result.h"
#include "services/google/when.h"

#define CALENDAR_EVENTS "/calendar/v3/calendars/primary/events"

struct calendar_clock {
    struct api *api;
    char zone[80]; /* "": not asked for yet */
};

/* The zone's name, asked for once. */
MUST_CHECK enum err clock_zone(struct calendar_clock *clock, char ret_why[API_WHY_SIZE]);
/* The moment; a day is its midnight. */
MUST_CHECK enum err clock_ms(struct calendar_clock *clock, const struct when *when, int64_t *ret_ms,
                             char ret_why[API_WHY_SIZE]);
/* "2025-01-31T09:00:00+01:00", on the calendar's clock when that is known, else in UTC. */
void clock_text(const struct calendar_clock *clock, int64_t ms, char ret_text[WHEN_TEXT_SIZE]);

/* The range of a tool's arguments timeMin, timeMax (a day as timeMax is meant with all its hours).
 * False: the result says what is wrong. */
struct calendar_range {
    int64_t min, max; /* ms */
};
bool clock_range(struct calendar_clock *clock, const json_t *args, struct calendar_range *ret_range,
                 struct result *result);

#endif
