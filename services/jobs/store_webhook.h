/* The store's statements for webhooks: what is due is taken under a lease, and settled. Loop's
 * thread only; as in store.h otherwise. */
#ifndef MCPBUS_JOBS_STORE_WEBHOOK_H
#define MCPBUS_JOBS_STORE_WEBHOOK_H

#include "services/jobs/store.h"

enum {
    STORE_WEBHOOK_ID_SIZE = 40,
    STORE_WEBHOOK_LEASE_MS = 45 * 1000,
    STORE_URL_MAX = 2047,
    STORE_WEBHOOK_TEXT = 65536, /* characters of a message or a result; `job.cut` when cut */
};

/* Texts are borrowed for the length of the call; `url` and what `job` says may be NULL when
 * `stale`: there is nothing to tell any more (the job is gone, or it waits no longer). */
struct store_webhook {
    const char *id, *type, *host, *url, *created_at;
    int64_t attempts, age_ms; /* this attempt included; since it happened */
    bool stale;
    struct store_job job;
};
typedef void store_webhooks_fn(void *arg, enum err error, const struct store_webhook *webhooks,
                               size_t count);

/* TAKE: of what is due at most `count`, `by_host` of a host and `by_user` of a user, and nothing of
 * these hosts and users (arrays as PostgreSQL writes them). Nobody else is given them for the
 * length of the lease. */
struct store_webhook_take {
    const char *hosts, *users;
    int64_t count, by_host, by_user;
};
void store_webhooks_take(struct store *store, const struct store_webhook_take *take,
                         store_webhooks_fn *done, void *arg);

/* SETTLE: told, or never to be told (wait_ms below 0), or to be tried again. What another has taken
 * in the meantime stays as it is; what can't be written is tried again after the lease. */
struct store_webhook_settle {
    char id[STORE_WEBHOOK_ID_SIZE];
    int64_t attempts, wait_ms;
    void (*done)(struct store_webhook_settle *item);
};
MUST_CHECK enum err store_webhook_settle(struct store *store, struct store_webhook_settle *item);

/* Deletes what waits for longer than a day and an hour, which only an installation without a secret
 * has; how many there were. */
typedef void store_webhooks_expired_fn(void *arg, enum err error, int64_t count);
void store_webhooks_expire(struct store *store, store_webhooks_expired_fn *done, void *arg);

#endif
