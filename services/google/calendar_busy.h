/* Busy times and the gaps between them. Pure. */
#ifndef MCPBUS_GOOGLE_CALENDAR_BUSY_H
#define MCPBUS_GOOGLE_CALENDAR_BUSY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SPANS_MAX = 2500 };

struct span {
    int64_t start, end; /* ms */
};

struct spans {
    struct span list[SPANS_MAX];
    size_t count;
    bool full; /* there were more */
};

/* Adds the part of a span that lies between min and max, if any. */
void spans_add(struct spans *spans, int64_t start, int64_t end, int64_t min, int64_t max);
/* Sorts, and makes one of those that touch or overlap. */
void spans_merge(struct spans *spans);
/* What merged spans leave free between min and max. */
void spans_gaps(const struct spans *spans, int64_t min, int64_t max, struct spans *ret_gaps);

#endif
