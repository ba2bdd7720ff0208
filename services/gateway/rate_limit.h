/* A token bucket for each user: `rate` requests a second, bursts of twice that. Pure: the time is
 * the caller's. Bounded: full buckets are forgotten, and a user for whom there is no room is let
 * through. Not thread-safe. */
#ifndef MCPBUS_GATEWAY_RATE_LIMIT_H
#define MCPBUS_GATEWAY_RATE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate_limit;

/* rate 0: everything passes. `users_max`: buckets that are kept. */
struct rate_limit *rate_limit_new(int64_t rate, size_t users_max);
void rate_limit_destroy(struct rate_limit **limit_p);

/* May this user's request pass now? Takes a token when it may. */
bool rate_limit_take(struct rate_limit *limit, const char *user_id, int64_t now_ms);
size_t rate_limit_users(const struct rate_limit *limit);

#endif
