/* Signing in: the way to the provider, and back. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/http_client.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/auth/audit.h"
#include "services/auth/came_back.h"
#include "services/auth/scopes.h"

enum { FIND_ATTEMPTS = 3 };

/* A browser that came back, until it is answered. */
struct signin {
    struct auth *auth;
    struct bus_call *call;
    json_t *args;
    char *code;
    struct state state;
    struct grant grant;
    json_t *granted; /* URLs */
    json_t *profile; /* as user_data keeps it */
    char *user_id;
    int attempts;
};

/* The same at both ends of a sign-in. */
static char *redirect_uri(const struct auth *auth, const struct state *state)
{
    if (!state->origin)
        return mem_strdup(auth->redirect_uri);
    return mem_printf("%s/auth/callback", state->origin);
}

static char *auth_url(const struct auth *auth, const struct state *state, const char *sealed)
{
    const struct settings *settings = auth->settings;
    AUTOFREE char *scope = scopes_request(state->scopes);
    AUTOFREE char *challenge = state_challenge(state);
    AUTOFREE char *redirect = redirect_uri(auth, state);
    const char *const pairs[] = {"client_id",
                                 settings->google_client_id,
                                 "redirect_uri",
                                 redirect,
                                 "response_type",
                                 "code",
                                 "scope",
                                 scope,
                                 "state",
                                 sealed,
                                 "code_challenge",
                                 challenge,
                                 "code_challenge_method",
                                 "S256",
                                 "access_type",
                                 "offline",
                                 "include_granted_scopes",
                                 "true",
                                 "prompt",
                                 "consent",
                                 NULL};
    AUTOFREE char *query = http_form_encode(pairs);
    const char *base = settings->google_auth_uri;
    return mem_printf("%s%c%s", base, strchr(base, '?') ? '&' : '?', query);
}

void oauth_begin(void *service, struct bus_call *call, json_t *args)
{
    struct auth *auth = auth_of(service);
    AUTOJSON json_t *names = NULL;
    AUTOFREE char *why = NULL;
    if (scopes_check(json_object_get(args, "scopes"), &names, &why)) {
        bus_reply_error(&call, ERR_INVALID, "%s", why);
        return;
    }
    struct state state;
    state_init(&state, names, auth->redirect_fixed ? NULL : js_str(args, "origin", NULL),
               time(NULL));
    AUTOFREE char *sealed = state_seal(&state, STATE_SIGN_IN, auth->state_key);
    AUTOFREE char *url = auth_url(auth, &state, sealed);
    bus_reply(&call, json_pack("{s:s, s:s, s:s}", "auth_url", url, "user_id", state.user_id,
                               "state", sealed));
    state_fini(&state);
}

static void signin_destroy(struct signin **signin_p)
{
    struct signin *signin = *signin_p;
    *signin_p = NULL;
    state_fini(&signin->state);
    grant_fini(&signin->grant);
    mem_free_secret(&signin->code);
    json_decref(signin->args);
    json_decref(signin->granted);
    json_decref(signin->profile);
    free(signin->user_id);
    free(signin);
}

/* A stranger can begin any number of sign-ins and end them with codes of their own invention: these
 * fill no table. */
static void fail(struct signin *signin, enum err err, const char *why)
{
    if (err == ERR_CANCELLED)
        err = ERR_UPSTREAM; /* this replica stops; the code may be used up */
    audit(signin->auth, &(struct audit){.event = "sign_in_failed",
                                        .user_id = signin->user_id,
                                        .args = signin->args,
                                        .why = why,
                                        .line_only = true});
    bus_reply_error(&signin->call, err, "%s", why);
    signin_destroy(&signin);
}

static void fail_in_store(struct signin *signin, enum err err)
{
    auth_reply_store_error(&signin->call, err);
    signin_destroy(&signin);
}

static void succeed(struct signin *signin, int64_t generation)
{
    struct auth *auth = signin->auth;
    AUTOJSON json_t *user = tokens_user(signin->user_id, signin->profile);
    char *token = NULL;
    if (tokens_issue(auth->settings->jwt_secret, user, generation, time(NULL), &token)) {
        fail(signin, ERR_INTERNAL, "the token could not be made");
        return;
    }
    audit(auth, &(struct audit){.event = "signed_in",
                                .user_id = signin->user_id,
                                .args = signin->args,
                                .scopes = signin->granted});
    bus_reply(&signin->call,
              json_pack("{s:s, s:s, s:i, s:O, s:O}", "access_token", token, "token_type", "bearer",
                        "expires_in", TOKENS_LIFE_S, "user", user, "scopes", signin->granted));
    mem_free_secret(&token);
    signin_destroy(&signin);
}

static void find_account(struct signin *signin);

static void on_written(void *arg, enum err err, int64_t generation)
{
    struct signin *signin = arg;
    if (err == ERR_CONFLICT && signin->attempts < FIND_ATTEMPTS)
        find_account(signin); /* another sign-in of the same account was faster */
    else if (err)
        fail_in_store(signin, err);
    else
        succeed(signin, generation);
}

/* Google gives a refresh token with the first consent only; the one that we have stays good. */
static void keep_refresh_token(struct signin *signin, const struct store_session *session)
{
    struct grant old;
    if (signin->grant.refresh_token || !session->token_data ||
        grant_open(&signin->auth->keys, session->user_id, session->token_data, &old))
        return;
    signin->grant.refresh_token = old.refresh_token;
    old.refresh_token = NULL;
    grant_fini(&old);
}

static void on_account(void *arg, enum err err, const struct store_session *session,
                       int64_t generation)
{
    (void)generation;
    struct signin *signin = arg;
    struct auth *auth = signin->auth;
    if (err) {
        fail_in_store(signin, err);
        return;
    }
    free(signin->user_id);
    signin->user_id = mem_strdup(session ? session->user_id : signin->state.user_id);
    if (session)
        keep_refresh_token(signin, session);
    AUTOFREE char *token_data = grant_seal(&auth->keys, signin->user_id, &signin->grant);
    AUTOFREE char *selected = js_dump(signin->state.scopes);
    AUTOFREE char *granted = js_dump(signin->granted);
    AUTOFREE char *user_data = js_dump(signin->profile);
    const struct store_signin row = {.user_id = signin->user_id,
                                     .sub = js_str(signin->profile, "sub", ""),
                                     .token_data = token_data,
                                     .selected_scopes = selected,
                                     .granted_scopes = granted,
                                     .user_data = user_data};
    if (session)
        store_signin_update(auth->store, &row, on_written, signin);
    else
        store_signin_insert(auth->store, &row, on_written, signin);
}

static void find_account(struct signin *signin)
{
    signin->attempts++;
    const json_t *profile = signin->profile;
    const char *email = js_str(profile, "email", "");
    bool verified = js_bool(profile, "email_verified", false) && email[0];
    store_account_find(signin->auth->store, js_str(profile, "sub", ""), verified ? email : NULL,
                       on_account, signin);
}

static void on_profile(void *arg, enum err err, const char *why, const json_t *profile)
{
    struct signin *signin = arg;
    if (err) {
        fail(signin, err, why);
        return;
    }
    const char *sub = js_str(profile, "sub", "");
    json_t *user = tokens_user(sub, profile);
    json_object_set_new(user, "sub", json_string(sub));
    json_object_set_new(user, "email_verified",
                        json_boolean(js_bool(profile, "email_verified", false)));
    signin->profile = user;
    find_account(signin);
}

static void on_tokens(void *arg, enum err err, const char *why, const struct google_tokens *tokens)
{
    struct signin *signin = arg;
    if (err) {
        fail(signin, err == ERR_UNAUTHENTICATED ? ERR_INVALID : err, why);
        return;
    }
    struct grant *grant = &signin->grant;
    grant->access_token = mem_strdup(tokens->access_token);
    grant->refresh_token = mem_strdup_opt(tokens->refresh_token);
    grant->expires_at_ms = ((int64_t)time(NULL) + tokens->expires_in) * 1000;
    AUTOFREE char *asked = scopes_request(signin->state.scopes);
    AUTOJSON json_t *scope = json_string(tokens->scope ? tokens->scope : asked);
    signin->granted = scopes_granted(signin->state.scopes, scope);
    google_userinfo(signin->auth->google, grant->access_token, on_profile, signin);
}

static void on_redeemed(void *arg, enum err err, int64_t value)
{
    (void)value;
    struct signin *signin = arg;
    if (err == ERR_CONFLICT) {
        fail(signin, ERR_INVALID, "This sign-in was completed before: begin again");
    } else if (err) {
        fail_in_store(signin, err);
    } else {
        AUTOFREE char *redirect = redirect_uri(signin->auth, &signin->state);
        google_exchange(signin->auth->google, signin->code, signin->state.verifier, redirect,
                        on_tokens, signin);
    }
}

void oauth_callback(void *service, struct bus_call *call, json_t *args)
{
    struct auth *auth = auth_of(service);
    struct state state;
    if (!came_back(auth, &call, args, STATE_SIGN_IN, &state))
        return;
    struct signin *signin = mem_alloc(sizeof(*signin));
    *signin = (struct signin){.auth = auth,
                              .call = call,
                              .args = json_incref(args),
                              .code = mem_strdup(js_str(args, "code", "")),
                              .state = state};
    store_nonce_redeem(auth->store, state.nonce, state.expires_at, on_redeemed, signin);
}
