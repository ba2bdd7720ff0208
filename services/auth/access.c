/* Google access for runs: an access token good for a while, refreshed once for all who ask. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/auth/audit.h"
#include "services/auth/scopes.h"

enum { LEFT_MIN_MS = 5 * 60 * 1000 };

static const char sign_in_again[] = "Google access is gone: sign in again";

/* A call that asks for access. */
struct asker {
    struct auth *auth;
    struct bus_call *call;
    json_t *args;
    char *user_id;
    struct asker *next;
};

/* A refresh under way. */
struct refresh {
    struct auth *auth;
    char *user_id;
    char *token_data; /* as it was read: what it becomes is written only over this */
    struct grant grant;
    json_t *about; /* scopes, email, name of the answer */
    struct asker *askers;
    struct refresh *next;
};

static void asker_destroy(struct asker **asker_p)
{
    struct asker *asker = *asker_p;
    *asker_p = NULL;
    json_decref(asker->args);
    free(asker->user_id);
    free(asker);
}

static void refuse(struct asker *asker, enum err err, const char *why)
{
    audit(asker->auth, &(struct audit){.event = "access_refused",
                                       .user_id = asker->user_id,
                                       .args = asker->args,
                                       .why = why});
    bus_reply_error(&asker->call, err, "%s", why);
    asker_destroy(&asker);
}

/* What the answer says beside the tokens. Only what was both asked for and granted is passed on. */
static json_t *about_session(const struct store_session *session)
{
    AUTOJSON json_t *selected = tokens_column(session->selected_scopes);
    AUTOJSON json_t *granted = tokens_column(session->granted_scopes);
    AUTOJSON json_t *user = tokens_column(session->user_data);
    return json_pack("{s:o, s:s?, s:s?}", "scopes", scopes_granted(selected, granted), "email",
                     js_str(user, "email", NULL), "name", js_str(user, "name", NULL));
}

static void give(struct asker *asker, const struct grant *grant, const json_t *about)
{
    json_t *answer = json_copy((json_t *)about);
    json_object_set_new(answer, "access_token", json_string(grant->access_token));
    json_object_set_new(answer, "refresh_token",
                        grant->refresh_token ? json_string(grant->refresh_token) : json_null());
    json_object_set_new(answer, "expires_at_ms", json_integer(grant->expires_at_ms));
    audit(asker->auth, &(struct audit){.event = "access_given",
                                       .user_id = asker->user_id,
                                       .args = asker->args,
                                       .scopes = json_object_get(about, "scopes")});
    bus_reply(&asker->call, answer);
    asker_destroy(&asker);
}

static void refresh_unlink(struct refresh *refresh)
{
    for (struct refresh **at = &refresh->auth->refreshes; *at; at = &(*at)->next) {
        if (*at == refresh) {
            *at = refresh->next;
            return;
        }
    }
}

/* Answers everybody who waits, and ends it. */
static void refresh_end(struct refresh *refresh, enum err err, const char *why)
{
    refresh_unlink(refresh);
    while (refresh->askers) {
        struct asker *asker = refresh->askers;
        refresh->askers = asker->next;
        if (err)
            refuse(asker, err, why);
        else
            give(asker, &refresh->grant, refresh->about);
    }
    grant_fini(&refresh->grant);
    mem_free_secret(&refresh->token_data);
    json_decref(refresh->about);
    free(refresh->user_id);
    free(refresh);
}

/* The token is good even when it could not be kept: the next asker refreshes again. */
static void on_kept(void *arg, enum err err, int64_t changed)
{
    struct refresh *refresh = arg;
    if (err)
        log_warning("refreshed_token_not_kept", LOG_S("user_id", refresh->user_id),
                    LOG_S("error", err_name(err)));
    else if (!changed)
        log_debug("refreshed_token_superseded", LOG_S("user_id", refresh->user_id));
    refresh_end(refresh, ERR_OK, "");
}

static void on_consent_lost(void *arg, enum err err, int64_t changed)
{
    struct refresh *refresh = arg;
    if (err || changed)
        audit(refresh->auth,
              &(struct audit){.event = "consent_withdrawn",
                              .user_id = refresh->user_id,
                              .why = err ? "and it could not be kept" : "the provider said so"});
    refresh_end(refresh, ERR_UNAUTHENTICATED, sign_in_again);
}

static void on_refreshed(void *arg, enum err err, const char *why,
                         const struct google_tokens *tokens)
{
    struct refresh *refresh = arg;
    struct auth *auth = refresh->auth;
    if (err == ERR_UNAUTHENTICATED) {
        store_consent_lost(auth->store, refresh->user_id, refresh->token_data, on_consent_lost,
                           refresh);
        return;
    }
    if (err) {
        audit(auth,
              &(struct audit){.event = "refresh_failed", .user_id = refresh->user_id, .why = why});
        /* Cancelled: this replica stops, another may do it. */
        refresh_end(refresh, err == ERR_CANCELLED ? ERR_DRAINING : err, why);
        return;
    }
    audit(auth, &(struct audit){.event = "access_refreshed", .user_id = refresh->user_id});
    struct grant *grant = &refresh->grant;
    mem_free_secret(&grant->access_token);
    grant->access_token = mem_strdup(tokens->access_token);
    grant->expires_at_ms = ((int64_t)time(NULL) + tokens->expires_in) * 1000;
    if (tokens->refresh_token) {
        mem_free_secret(&grant->refresh_token);
        grant->refresh_token = mem_strdup(tokens->refresh_token);
    }
    AUTOFREE char *token_data = grant_seal(&auth->keys, refresh->user_id, grant);
    store_tokens_replace(auth->store, refresh->user_id, refresh->token_data, token_data, on_kept,
                         refresh);
}

/* Takes the grant over. */
static void refresh_begin(struct asker *asker, const struct store_session *session,
                          struct grant *grant)
{
    struct auth *auth = asker->auth;
    struct refresh *refresh = mem_alloc(sizeof(*refresh));
    *refresh = (struct refresh){.auth = auth,
                                .user_id = mem_strdup(session->user_id),
                                .token_data = mem_strdup(session->token_data),
                                .grant = *grant,
                                .about = about_session(session),
                                .askers = asker,
                                .next = auth->refreshes};
    *grant = (struct grant){.access_token = NULL};
    auth->refreshes = refresh;
    google_refresh(auth->google, refresh->grant.refresh_token, on_refreshed, refresh);
}

static bool join(struct asker *asker)
{
    for (struct refresh *at = asker->auth->refreshes; at; at = at->next) {
        if (strcmp(at->user_id, asker->user_id) == 0) {
            asker->next = at->askers;
            at->askers = asker;
            return true;
        }
    }
    return false;
}

static void decide(struct asker *asker, const struct store_session *session, struct grant *grant)
{
    int64_t left_ms = grant->expires_at_ms - (int64_t)time(NULL) * 1000;
    if (grant->access_token && left_ms >= LEFT_MIN_MS) {
        AUTOJSON json_t *about = about_session(session);
        give(asker, grant, about);
    } else if (!grant->refresh_token) {
        refuse(asker, ERR_UNAUTHENTICATED, sign_in_again);
    } else if (!join(asker)) {
        refresh_begin(asker, session, grant);
    }
}

static void on_session(void *arg, enum err err, const struct store_session *session,
                       int64_t generation)
{
    (void)generation;
    struct asker *asker = arg;
    struct grant grant = {.access_token = NULL};
    if (err) {
        auth_reply_store_error(&asker->call, err);
        asker_destroy(&asker);
    } else if (!session) {
        refuse(asker, ERR_NOT_FOUND, "no session of this user");
    } else if (!session->authenticated || !session->token_data) {
        refuse(asker, ERR_UNAUTHENTICATED, sign_in_again);
    } else if (grant_open(&asker->auth->keys, session->user_id, session->token_data, &grant)) {
        log_warning("tokens_unreadable", LOG_S("user_id", session->user_id));
        refuse(asker, ERR_UNAUTHENTICATED, sign_in_again);
    } else {
        decide(asker, session, &grant);
    }
    grant_fini(&grant);
}

void access_google(void *service, struct bus_call *call, json_t *args)
{
    struct auth *auth = auth_of(service);
    struct asker *asker = mem_alloc(sizeof(*asker));
    *asker = (struct asker){.auth = auth,
                            .call = call,
                            .args = json_incref(args),
                            .user_id = mem_strdup(js_str(args, "user_id", ""))};
    store_session_get(auth->store, asker->user_id, on_session, asker);
}
