/* Days and times as a model writes them. Pure. */
#ifndef MCPBUS_GOOGLE_WHEN_H
#define MCPBUS_GOOGLE_WHEN_H

#include <stdint.h>
#include <time.h>

#include "libcommon/err.h"

enum { WHEN_TEXT_SIZE = 40 };

enum when_kind {
    WHEN_DAY,    /* 2025-01-31 */
    WHEN_LOCAL,  /* 2025-01-31T09:00:00: on some clock that it doesn't name */
    WHEN_MOMENT, /* 2025-01-31T09:00:00+01:00 */
};

struct when {
    enum when_kind kind;
    char text[WHEN_TEXT_SIZE]; /* in the form shown above; "Z" for UTC */
    struct tm tm;              /* the numbers as written */
    int64_t ms;                /* since 1970, of a moment alone */
};

/* Seconds and their fractions may be absent, "T" may be a space, and the offset may lack its colon.
 * ERR_INVALID: it is no such thing, or no such day. */
MUST_CHECK enum err when_parse(const char *text, struct when *ret_when);

/* The day after, in the same form. */
void when_next_day(const struct when *day, struct when *ret_next);

#endif
