/* Time zones by their names in the tz database ("Europe/Berlin"). Changes the process's TZ for a
 * moment, so it is for programs with one thread alone. */
#ifndef MCPBUS_ZONE_H
#define MCPBUS_ZONE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "libcommon/err.h"

/* Is it in the machine's tz database? UTC always is. */
bool zone_is_known(const char *name);

/* Seconds since 1970 of a local date and time (tm_year, tm_mon as in time.h; what is over a field's
 * range is carried). In the hour that a change of the clock skips or repeats, one of the two.
 * ERR_NOT_FOUND: no such zone. */
MUST_CHECK enum err zone_to_utc(const char *name, const struct tm *local, int64_t *ret_seconds);

/* The zone's date and time at a moment; `tm_gmtoff` is its distance from UTC in seconds.
 * ERR_NOT_FOUND: no such zone. */
MUST_CHECK enum err zone_from_utc(const char *name, int64_t seconds, struct tm *ret_local);

/* "2025-01-31T09:00:00+01:00", "…Z" in UTC. */
enum { ZONE_TEXT_SIZE = 40 };
MUST_CHECK enum err zone_format(const char *name, int64_t seconds, char ret_text[ZONE_TEXT_SIZE]);

#endif
