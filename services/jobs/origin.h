/* Where a job comes from: whose HTTP request, in which trace. For log lines and spans. */
#ifndef MCPBUS_JOBS_ORIGIN_H
#define MCPBUS_JOBS_ORIGIN_H

#include <jansson.h>
#include <stdint.h>

#include "libcommon/buf.h"
#include "libcommon/span.h"

struct origin {
    const char *request_id, *traceparent, *tracestate; /* borrowed; NULL: none */
};

/* From an item of jobs.submit: what doesn't fit is left out, since no job should fail for it. */
void origin_read(struct origin *ret_origin, const json_t *item);
/* As members of an item of worker.run. */
void origin_write(const struct origin *origin, struct buf *out);

/* Debug lines that name the job and its origin. */
void origin_log(const struct origin *origin, const char *event, const char *job_id,
                int64_t attempt);

/* The commit of a job, from here to origin_committed. */
struct span origin_span(const struct origin *origin);
void origin_committed(const struct span *span, const char *job_id, const char *error);
/* The time that it has waited, since it was made (as the store writes times) until now. */
void origin_waited(const struct origin *origin, const char *job_id, const char *created_at);

#endif
