/* Reads of jobs for GET /result. What gathers while packs are in flight goes out together as one
 * jobs.get_many: no timer, so a lone one waits for nothing. A job that doesn't fit beside others,
 * and every job of a jobs service that doesn't know that method yet or answers in another form, is
 * asked for by itself. */
#ifndef MCPBUS_GATEWAY_LOOKUP_H
#define MCPBUS_GATEWAY_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

#include "libcommon/bus.h"
#include "libcommon/loop.h"

struct lookups;
struct lookup; /* one under way */

struct lookups *lookups_new(struct loop *loop, struct bus *bus);
void lookups_destroy(struct lookups **lookups_p); /* none may be under way */

/* ERR_OK: `text` is the job's JSON, borrowed. Otherwise `detail` is for a person. */
struct lookup_answer {
    enum err error;
    const char *text;
    size_t len;
    const char *detail;
    int64_t retry_after_ms;
};
typedef void lookup_fn(void *arg, const struct lookup_answer *answer);

/* `done` is called once, later, from the loop; the lookup is gone by then. The texts are copied. */
struct lookup *lookup_new(struct lookups *lookups, const char *job_id, const char *user_id,
                          lookup_fn *done, void *arg);
void lookup_cancel(struct lookup **lookup_p); /* may be NULL; `done` is not called any more */

#endif
