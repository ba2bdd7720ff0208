#include "services/gateway/rate_limit.h"

#include <string.h>

#include "libcommon/map.h"
#include "libcommon/mem.h"

enum {
    TOKEN = 1000, /* thousandths, so that one millisecond at any rate is a whole number */
    FULL_AFTER_MS = 2000,
    SWEEP_EVERY_MS = 1000
};

struct bucket {
    int64_t tokens, at_ms;
    size_t key_len;
    char key[];
};

struct rate_limit {
    int64_t rate, swept_ms;
    size_t users_max;
    struct map *buckets;
};

struct rate_limit *rate_limit_new(int64_t rate, size_t users_max)
{
    struct rate_limit *limit = mem_alloc(sizeof(*limit));
    limit->rate = rate;
    limit->users_max = users_max;
    limit->swept_ms = INT64_MIN;
    limit->buckets = map_new();
    return limit;
}

void rate_limit_destroy(struct rate_limit **limit_p)
{
    struct rate_limit *limit = *limit_p;
    if (!limit)
        return;
    *limit_p = NULL;
    size_t at = 0;
    for (struct bucket *bucket; (bucket = map_next(limit->buckets, &at));)
        free(bucket);
    map_destroy(&limit->buckets);
    free(limit);
}

/* A bucket at rest for two seconds is full: forgetting it changes nothing. */
static void sweep(struct rate_limit *limit, int64_t now_ms)
{
    if (limit->swept_ms != INT64_MIN && now_ms - limit->swept_ms < SWEEP_EVERY_MS)
        return;
    limit->swept_ms = now_ms;
    size_t at = 0;
    for (struct bucket *bucket; (bucket = map_next(limit->buckets, &at));) {
        if (now_ms - bucket->at_ms < FULL_AFTER_MS)
            continue;
        map_take(limit->buckets, bucket->key, bucket->key_len);
        free(bucket);
    }
}

static struct bucket *find(struct rate_limit *limit, const char *user_id, int64_t now_ms)
{
    size_t len = strlen(user_id);
    struct bucket *bucket = map_get(limit->buckets, user_id, len);
    if (bucket)
        return bucket;
    if (map_count(limit->buckets) >= limit->users_max)
        sweep(limit, now_ms);
    if (map_count(limit->buckets) >= limit->users_max)
        return NULL;
    bucket = mem_alloc(sizeof(*bucket) + len);
    bucket->tokens = 2 * limit->rate * TOKEN;
    bucket->at_ms = now_ms;
    bucket->key_len = len;
    memcpy(bucket->key, user_id, len);
    map_put(limit->buckets, user_id, len, bucket);
    return bucket;
}

bool rate_limit_take(struct rate_limit *limit, const char *user_id, int64_t now_ms)
{
    if (limit->rate == 0)
        return true;
    struct bucket *bucket = find(limit, user_id, now_ms);
    if (!bucket)
        return true;
    int64_t passed = now_ms - bucket->at_ms;
    int64_t most = 2 * limit->rate * TOKEN;
    if (passed > FULL_AFTER_MS)
        passed = FULL_AFTER_MS;
    if (passed > 0) {
        bucket->tokens += passed * limit->rate;
        bucket->at_ms = now_ms;
    }
    if (bucket->tokens > most)
        bucket->tokens = most;
    if (bucket->tokens < TOKEN)
        return false;
    bucket->tokens -= TOKEN;
    return true;
}

size_t rate_limit_users(const struct rate_limit *limit)
{
    return map_count(limit->buckets);
}
