/* Signing in: the way to the provider, and back. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/http_client.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/auth/arrival.h"
#include "services/auth/audit.h"
#include "services/auth/scopes.h"

enum { FIND_ATTEMPTS = 3 };

struct signin {
    struct arrival arrival; /* first: this is what comes back */
    struct grant grant;
    json_t *granted; /* URLs */
    json_t *profile; /* as user_data keeps it */
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

static void succeed(struct signin *signin, int64_t generation)
{
    struct arrival *arrival = &signin->arrival;
    struct auth *auth = arrival->auth;
    AUTOJSON json_t *user = tokens_user(arrival->user_id, signin->profile);
    char *token = NULL;
    if (tokens_issue(auth->settings->jwt_secret, user, generation, time(NULL), &token)) {
        arrival_fail(arrival, ERR_INTERNAL, "the token could not be made");
        return;
    }
    audit(auth, &(struct audit){.event = "signed_in",
                                .user_id = arrival->user_id,
                                .args = arrival->args,
                                .scopes = signin->granted});
    bus_reply(&arrival->call,
              json_pack("{s:s, s:s, s:i, s:O, s:O}", "access_token", token, "token_type", "bearer",
                        "expires_in", TOKENS_LIFE_S, "user", user, "scopes", signin->granted));
    mem_free_secret(&token);
    arrival_destroy(&arrival);
}

static void find_account(struct signin *signin);

static void on_written(void *arg, enum err err, int64_t generation)
{
    struct signin *signin = arg;
    if (err == ERR_CONFLICT && signin->attempts < FIND_ATTEMPTS)
        find_account(signin); /* another sign-in of the same account was faster */
    else if (err)
        arrival_fail_in_store(&signin->arrival, err);
    else
        succeed(signin, generation);
}

/* Google gives a refresh token with the first consent only; the one that we have stays good. */
static void keep_refresh_token(struct signin *signin, const struct store_session *session)
{
    struct grant old;
    if (signin->grant.refresh_token || !session->token_data ||
        grant_open(&signin->arrival.auth->keys, session->user_id, session->token_data, &old))
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
    struct arrival *arrival = &signin->arrival;
    struct auth *auth = arrival->auth;
    if (err) {
        arrival_fail_in_store(arrival, err);
        return;
    }
    free(arrival->user_id);
    arrival->user_id = mem_strdup(session ? session->user_id : arrival->state.user_id);
    if (session)
        keep_refresh_token(signin, session);
    AUTOFREE char *token_data = grant_seal(&auth->keys, arrival->user_id, &signin->grant);
    AUTOFREE char *selected = js_dump(arrival->state.scopes);
    AUTOFREE char *granted = js_dump(signin->granted);
    AUTOFREE char *user_data = js_dump(signin->profile);
    const struct store_signin row = {.user_id = arrival->user_id,
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
    store_account_find(signin->arrival.auth->store, js_str(profile, "sub", ""),
                       verified ? email : NULL, on_account, signin);
}

static void on_profile(struct arrival *arrival, const json_t *profile)
{
    struct signin *signin = (struct signin *)arrival;
    const char *sub = js_str(profile, "sub", "");
    json_t *user = tokens_user(sub, profile);
    json_object_set_new(user, "sub", json_string(sub));
    json_object_set_new(user, "email_verified",
                        json_boolean(js_bool(profile, "email_verified", false)));
    signin->profile = user;
    find_account(signin);
}

static void on_tokens(struct arrival *arrival, const struct google_tokens *tokens)
{
    struct signin *signin = (struct signin *)arrival;
    struct grant *grant = &signin->grant;
    grant->access_token = mem_strdup(tokens->access_token);
    grant->refresh_token = mem_strdup_opt(tokens->refresh_token);
    grant->expires_at_ms = ((int64_t)time(NULL) + tokens->expires_in) * 1000;
    AUTOFREE char *asked = scopes_request(arrival->state.scopes);
    AUTOJSON json_t *scope = json_string(tokens->scope ? tokens->scope : asked);
    signin->granted = scopes_granted(arrival->state.scopes, scope);
}

static void fini(struct arrival *arrival)
{
    struct signin *signin = (struct signin *)arrival;
    grant_fini(&signin->grant);
    json_decref(signin->granted);
    json_decref(signin->profile);
}

static char *redirect_of(const struct arrival *arrival)
{
    return redirect_uri(arrival->auth, &arrival->state);
}

void oauth_callback(void *service, struct bus_call *call, json_t *args)
{
    static const struct arrival_kind kind = {.purpose = STATE_SIGN_IN,
                                             .size = sizeof(struct signin),
                                             .failed = "sign_in_failed",
                                             .redirect_uri = redirect_of,
                                             .on_tokens = on_tokens,
                                             .on_profile = on_profile,
                                             .fini = fini};
    arrival_begin(&kind, auth_of(service), call, args);
}
