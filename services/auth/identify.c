/* Who sits at a browser, for the monitor: the way to the provider and back as in oauth.c, but only
 * the identity is asked for, and nothing is kept: no session, no token. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/http_client.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/auth/audit.h"
#include "services/auth/came_back.h"

/* A browser that came back, until it is answered. */
struct identify {
    struct auth *auth;
    struct bus_call *call;
    json_t *args;
    struct state state; /* its origin is the whole address here */
};

/* Without access_type=offline no refresh token comes. The account is chosen each time: who came
 * with one that may not enter could not try another otherwise. */
static char *auth_url(const struct auth *auth, const struct state *state, const char *sealed)
{
    const struct settings *settings = auth->settings;
    AUTOFREE char *challenge = state_challenge(state);
    const char *const pairs[] = {"client_id",
                                 settings->google_client_id,
                                 "redirect_uri",
                                 state->origin,
                                 "response_type",
                                 "code",
                                 "scope",
                                 "openid email profile",
                                 "state",
                                 sealed,
                                 "code_challenge",
                                 challenge,
                                 "code_challenge_method",
                                 "S256",
                                 "prompt",
                                 "select_account",
                                 NULL};
    AUTOFREE char *query = http_form_encode(pairs);
    const char *base = settings->google_auth_uri;
    return mem_printf("%s%c%s", base, strchr(base, '?') ? '&' : '?', query);
}

static bool is_http(const char *url)
{
    return strncmp(url, "http://", strlen("http://")) == 0 ||
           strncmp(url, "https://", strlen("https://")) == 0;
}

void identify_begin(void *service, struct bus_call *call, json_t *args)
{
    struct auth *auth = auth_of(service);
    const char *redirect = js_str(args, "redirect", "");
    AUTOJSON json_t *none = json_array();
    struct state state;
    if (!is_http(redirect)) {
        bus_reply_error(&call, ERR_INVALID, "redirect takes an http or https address");
        return;
    }
    state_init(&state, none, redirect, time(NULL));
    AUTOFREE char *sealed = state_seal(&state, STATE_IDENTIFY, auth->state_key);
    AUTOFREE char *url = auth_url(auth, &state, sealed);
    bus_reply(&call, json_pack("{s:s, s:s}", "auth_url", url, "state", sealed));
    state_fini(&state);
}

static void identify_destroy(struct identify **identify_p)
{
    struct identify *identify = *identify_p;
    *identify_p = NULL;
    state_fini(&identify->state);
    json_decref(identify->args);
    free(identify);
}

/* Strangers can end as many of these as they like: they fill no table. */
static void fail(struct identify *identify, enum err err, const char *why)
{
    if (err == ERR_CANCELLED)
        err = ERR_UPSTREAM; /* this replica stops; the code may be used up */
    audit(identify->auth,
          &(struct audit){
              .event = "identify_failed", .args = identify->args, .why = why, .line_only = true});
    bus_reply_error(&identify->call, err, "%s", why);
    identify_destroy(&identify);
}

static void on_profile(void *arg, enum err err, const char *why, const json_t *profile)
{
    struct identify *identify = arg;
    if (err) {
        fail(identify, err, why);
        return;
    }
    audit(identify->auth,
          &(struct audit){.event = "identified", .args = identify->args, .line_only = true});
    bus_reply(&identify->call, json_pack("{s:s, s:s, s:b, s:s}", "sub", js_str(profile, "sub", ""),
                                         "email", js_str(profile, "email", ""), "email_verified",
                                         js_bool(profile, "email_verified", false), "name",
                                         js_str(profile, "name", "")));
    identify_destroy(&identify);
}

static void on_tokens(void *arg, enum err err, const char *why, const struct google_tokens *tokens)
{
    struct identify *identify = arg;
    if (err)
        fail(identify, err == ERR_UNAUTHENTICATED ? ERR_INVALID : err, why);
    else
        google_userinfo(identify->auth->google, tokens->access_token, on_profile, identify);
}

static void on_redeemed(void *arg, enum err err, int64_t value)
{
    (void)value;
    struct identify *identify = arg;
    if (err == ERR_CONFLICT) {
        fail(identify, ERR_INVALID, "This sign-in was completed before: begin again");
    } else if (err) {
        auth_reply_store_error(&identify->call, err);
        identify_destroy(&identify);
    } else {
        google_exchange(identify->auth->google, js_str(identify->args, "code", ""),
                        identify->state.verifier, identify->state.origin, on_tokens, identify);
    }
}

void identify_callback(void *service, struct bus_call *call, json_t *args)
{
    struct auth *auth = auth_of(service);
    struct state state;
    if (!came_back(auth, &call, args, STATE_IDENTIFY, &state))
        return;
    struct identify *identify = mem_alloc(sizeof(*identify));
    *identify =
        (struct identify){.auth = auth, .call = call, .args = json_incref(args), .state = state};
    store_nonce_redeem(auth->store, state.nonce, state.expires_at, on_redeemed, identify);
}
