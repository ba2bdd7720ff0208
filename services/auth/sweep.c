/* Periodic work: what has run out goes in small batches; tokens that aren't sealed with today's key
 * are. Several replicas may do it at once. */
#include <stdlib.h>

#include "services/auth/auth.h"

enum {
    EVERY_MS = 60 * 1000,
    SPREAD_MS = 30 * 1000,
    SEAL_EVERY_MS = 3600 * 1000, /* it reads every row */
    BATCH = 500,
    AGAIN_MS = 100,
};

static void rest(struct auth *auth)
{
    loop_timer_start(auth->sweep, EVERY_MS + (int64_t)(crypto_random_u64() % SPREAD_MS));
}

static void seal_begin(struct auth *auth)
{
    auth->seal_at_ms = loop_now(auth->loop) + SEAL_EVERY_MS;
    seal_start(auth, rest);
}

static void on_audit_cleaned(void *arg, enum err err, int64_t count)
{
    struct auth *auth = arg;
    if (!err && count >= BATCH)
        loop_timer_start(auth->sweep, AGAIN_MS);
    else if (!err && loop_now(auth->loop) >= auth->seal_at_ms)
        seal_begin(auth);
    else
        rest(auth);
}

static void on_rest_erased(void *arg, enum err err, int64_t count)
{
    struct auth *auth = arg;
    int64_t days = auth->settings->audit_retention_days;
    if (err)
        rest(auth);
    else if (count >= BATCH)
        loop_timer_start(auth->sweep, AGAIN_MS);
    else if (days)
        store_audit_clean(auth->store, days, on_audit_cleaned, auth);
    else
        on_audit_cleaned(auth, ERR_OK, 0);
}

static void on_revocations_cleaned(void *arg, enum err err, int64_t count)
{
    struct auth *auth = arg;
    if (err)
        rest(auth);
    else if (count >= BATCH)
        loop_timer_start(auth->sweep, AGAIN_MS);
    else
        store_audit_erase_rest(auth->store, on_rest_erased, auth);
}

static void on_nonces_cleaned(void *arg, enum err err, int64_t count)
{
    struct auth *auth = arg;
    if (err)
        rest(auth);
    else if (count >= BATCH)
        loop_timer_start(auth->sweep, AGAIN_MS);
    else
        store_revocations_clean(auth->store, on_revocations_cleaned, auth);
}

static void on_time(void *arg)
{
    struct auth *auth = arg;
    store_nonces_clean(auth->store, on_nonces_cleaned, auth);
}

void sweep_start(struct auth *auth)
{
    auth->sweep = loop_timer_new(auth->loop, on_time, auth);
    loop_timer_start(auth->sweep, AGAIN_MS);
}
