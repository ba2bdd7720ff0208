#include "services/google/calendar_busy.h"

#include <stdlib.h>

void spans_add(struct spans *spans, int64_t start, int64_t end, int64_t min, int64_t max)
{
    start = start < min ? min : start;
    end = end > max ? max : end;
    if (start >= end)
        return;
    if (spans->count == SPANS_MAX)
        spans->full = true;
    else
        spans->list[spans->count++] = (struct span){start, end};
}

static int compare(const void *a, const void *b)
{
    const struct span *first = a, *second = b;
    return (first->start > second->start) - (first->start < second->start);
}

void spans_merge(struct spans *spans)
{
    size_t kept = 0;
    qsort(spans->list, spans->count, sizeof spans->list[0], compare);
    for (size_t i = 0; i < spans->count; i++) {
        struct span *last = kept ? &spans->list[kept - 1] : NULL;
        if (!last || spans->list[i].start > last->end)
            spans->list[kept++] = spans->list[i];
        else if (spans->list[i].end > last->end)
            last->end = spans->list[i].end;
    }
    spans->count = kept;
}

void spans_gaps(const struct spans *spans, int64_t min, int64_t max, struct spans *ret_gaps)
{
    int64_t at = min;
    ret_gaps->count = 0;
    ret_gaps->full = spans->full;
    for (size_t i = 0; i < spans->count; i++) {
        spans_add(ret_gaps, at, spans->list[i].start, min, max);
        at = spans->list[i].end;
    }
    spans_add(ret_gaps, at, max, min, max);
}
