/* Sessions whose tokens were sealed with a key of before, or never, are sealed with today's: one
 * after another in the order of their ids, a few hundred a second. Each is written only over what
 * was read, so replicas may do it at once and a refresh in between wins. A pass that is broken off
 * is begun anew and finds what is left. */
#include <stdlib.h>

#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "services/auth/auth.h"

enum { BATCH = 50, PAUSE_MS = 100 };

struct sealing {
    struct auth *auth;
    void (*done)(struct auth *auth);
    struct loop_timer *timer;
    char *user_id; /* how far it has come */
    int64_t sealed, unreadable;
    int batch;
};

static void count(struct sealing *sealing)
{
    static const char help[] = "Sessions whose Google tokens were encrypted with the present key.";
    metric_add(metric_counter("mcpbus_tokens_sealed_total", NULL, help), 1);
    sealing->sealed++;
}

static void end(struct sealing *sealing)
{
    struct auth *auth = sealing->auth;
    void (*done)(struct auth * auth) = sealing->done;
    if (sealing->sealed)
        log_info("tokens_sealed", LOG_I("sessions", sealing->sealed),
                 LOG_S("key", auth->keys.ids[0]));
    if (sealing->unreadable)
        log_error("tokens_under_unknown_key", LOG_I("sessions", sealing->unreadable),
                  LOG_S("hint", "set TOKEN_ENCRYPTION_KEY_PREVIOUS or JWT_SECRET_PREVIOUS to the "
                                "key that they were encrypted with; mcpbus secrets status"));
    seal_destroy(auth);
    done(auth);
}

static void on_session(void *arg, enum err err, const struct store_session *session,
                       int64_t generation);

static void next(void *arg)
{
    struct sealing *sealing = arg;
    struct auth *auth = sealing->auth;
    store_session_unsealed(auth->store, sealing->user_id, auth->keys.ids[0], on_session, sealing);
}

static void go_on(struct sealing *sealing)
{
    if (++sealing->batch < BATCH) {
        next(sealing);
        return;
    }
    sealing->batch = 0;
    loop_timer_start(sealing->timer, PAUSE_MS);
}

static void on_sealed(void *arg, enum err err, int64_t changed)
{
    struct sealing *sealing = arg;
    if (err == ERR_CANCELLED) /* the service stops: whatever it had is gone */
        return;
    if (!err && changed)
        count(sealing);
    if (err)
        end(sealing);
    else
        go_on(sealing);
}

static void on_session(void *arg, enum err err, const struct store_session *session,
                       int64_t generation)
{
    (void)generation;
    struct sealing *sealing = arg;
    if (err == ERR_CANCELLED)
        return;
    if (err || !session) {
        end(sealing);
        return;
    }
    struct auth *auth = sealing->auth;
    struct grant grant;
    free(sealing->user_id);
    sealing->user_id = mem_strdup(session->user_id);
    if (grant_open(&auth->keys, session->user_id, session->token_data, &grant)) {
        sealing->unreadable++;
        go_on(sealing);
        return;
    }
    AUTOFREE char *token_data = grant_seal(&auth->keys, session->user_id, &grant);
    grant_fini(&grant);
    store_tokens_replace(auth->store, sealing->user_id, session->token_data, token_data, on_sealed,
                         sealing);
}

void seal_start(struct auth *auth, void (*done)(struct auth *auth))
{
    struct sealing *sealing = mem_alloc(sizeof(*sealing));
    *sealing = (struct sealing){.auth = auth, .done = done, .user_id = mem_strdup("")};
    sealing->timer = loop_timer_new(auth->loop, next, sealing);
    auth->sealing = sealing;
    next(sealing);
}

void seal_destroy(struct auth *auth)
{
    struct sealing *sealing = auth->sealing;
    if (!sealing)
        return;
    auth->sealing = NULL;
    loop_timer_destroy(&sealing->timer);
    free(sealing->user_id);
    free(sealing);
}
