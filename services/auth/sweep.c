/* Periodic work: what has run out goes in small batches; tokens that the original left unsealed are
 * sealed. Several replicas may do it at once. */
#include <stdlib.h>

#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/auth/auth.h"

enum {
    EVERY_MS = 60 * 1000,
    SPREAD_MS = 30 * 1000,
    SEAL_EVERY_MS = 3600 * 1000, /* it reads every row */
    BATCH = 500,
    AGAIN_MS = 100,
};

struct sealing {
    struct auth *auth;
    char *user_id;
};

static void rest(struct auth *auth)
{
    loop_timer_start(auth->sweep, EVERY_MS + (int64_t)(crypto_random_u64() % SPREAD_MS));
}

static void seal_next(struct auth *auth, const char *after);

static void on_sealed(void *arg, enum err err, int64_t changed)
{
    struct sealing *sealing = arg;
    struct auth *auth = sealing->auth;
    if (!err && changed)
        log_info("tokens_sealed", LOG_S("user_id", sealing->user_id));
    if (err)
        rest(auth);
    else
        seal_next(auth, sealing->user_id);
    free(sealing->user_id);
    free(sealing);
}

static void on_unsealed(void *arg, enum err err, const struct store_session *session,
                        int64_t generation)
{
    (void)generation;
    struct auth *auth = arg;
    if (err || !session) {
        rest(auth);
        return;
    }
    struct grant grant;
    if (grant_open(&auth->keys, session->user_id, session->token_data, &grant)) {
        log_debug("tokens_unreadable", LOG_S("user_id", session->user_id));
        seal_next(auth, session->user_id);
        return;
    }
    struct sealing *sealing = mem_alloc(sizeof(*sealing));
    *sealing = (struct sealing){.auth = auth, .user_id = mem_strdup(session->user_id)};
    AUTOFREE char *token_data = grant_seal(&auth->keys, session->user_id, &grant);
    grant_fini(&grant);
    store_tokens_replace(auth->store, sealing->user_id, session->token_data, token_data, on_sealed,
                         sealing);
}

static void seal_next(struct auth *auth, const char *after)
{
    store_session_unsealed(auth->store, after, on_unsealed, auth);
}

static void seal_begin(struct auth *auth)
{
    auth->seal_at_ms = loop_now(auth->loop) + SEAL_EVERY_MS;
    seal_next(auth, "");
}

static void on_revocations_cleaned(void *arg, enum err err, int64_t count)
{
    struct auth *auth = arg;
    if (!err && count >= BATCH)
        loop_timer_start(auth->sweep, AGAIN_MS);
    else if (!err && loop_now(auth->loop) >= auth->seal_at_ms)
        seal_begin(auth);
    else
        rest(auth);
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
