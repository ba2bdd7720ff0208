/* HTTP exchanges, one at a time, blocking for their caller while the loop goes on: so a client's
 * "cancelled" is read, and ends the exchange, while Google has yet to answer. */
#ifndef MCPBUS_GOOGLE_FETCH_H
#define MCPBUS_GOOGLE_FETCH_H

#include <stdbool.h>

#include "libcommon/err.h"
#include "libcommon/http_client.h"
#include "libcommon/loop.h"

struct fetcher;

struct fetcher *fetcher_new(struct loop *loop, const struct http_client_options *options);
void fetcher_destroy(struct fetcher **fetcher_p);

/* From now on exchanges and pauses end with ERR_CANCELLED once `cancelled(arg)` is true; NULL: no
 * longer. */
void fetcher_watch(struct fetcher *fetcher, bool (*cancelled)(void *arg), void *arg);

/* An answer with texts of its own. */
struct fetched {
    struct http_answer answer;
    char *body, *content_type, *location, *range;
};
void fetched_free(struct fetched *fetched);

/* ERR_OK: an answer came, whatever its status. Else as http_client.h says, and the answer holds the
 * reason. Either way fetched_free ends it. */
MUST_CHECK enum err fetch(struct fetcher *fetcher, const struct http_call *call,
                          struct fetched *ret_fetched);

/* ERR_CANCELLED when that came first. */
MUST_CHECK enum err fetch_pause(struct fetcher *fetcher, int64_t ms);

#endif
