/* Who sits at a browser, for the monitor: the way to the provider and back as in oauth.c, but only
 * the identity is asked for, and nothing is kept: no session, no token. */
#include <string.h>
#include <time.h>

#include "libcommon/http_client.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/auth/arrival.h"
#include "services/auth/audit.h"

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

/* The state's origin is the whole address here. */
static char *redirect_uri(const struct arrival *arrival)
{
    return mem_strdup(arrival->state.origin);
}

static void on_profile(struct arrival *arrival, const json_t *profile)
{
    audit(arrival->auth,
          &(struct audit){.event = "identified", .args = arrival->args, .line_only = true});
    bus_reply(&arrival->call, json_pack("{s:s, s:s, s:b, s:s}", "sub", js_str(profile, "sub", ""),
                                        "email", js_str(profile, "email", ""), "email_verified",
                                        js_bool(profile, "email_verified", false), "name",
                                        js_str(profile, "name", "")));
    arrival_destroy(&arrival);
}

void identify_callback(void *service, struct bus_call *call, json_t *args)
{
    static const struct arrival_kind kind = {.purpose = STATE_IDENTIFY,
                                             .size = sizeof(struct arrival),
                                             .failed = "identify_failed",
                                             .redirect_uri = redirect_uri,
                                             .on_profile = on_profile};
    arrival_begin(&kind, auth_of(service), call, args);
}
