#include "services/auth/arrival.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/auth/audit.h"

enum { CODE_MAX_BYTES = 4096, ERROR_SHOWN_BYTES = 64 };

/* The provider's error, if it looks like one of RFC 6749's: anybody can call this address. */
static const char *shown_error(const char *error)
{
    size_t len = strspn(error, "abcdefghijklmnopqrstuvwxyz_");
    return error[len] == '\0' && len <= ERROR_SHOWN_BYTES ? error : "unknown error";
}

/* Before anything shows that the browser began a sign-in here: anybody may send such requests. */
static void turn_away(struct auth *auth, struct bus_call **call_p, const json_t *args,
                      const char *why)
{
    audit(auth,
          &(struct audit){.event = "sign_in_refused", .args = args, .why = why, .line_only = true});
    bus_reply_error(call_p, ERR_INVALID, "%s", why);
}

static enum err open_state(const struct auth *auth, const char *sealed, enum state_purpose purpose,
                           struct state *ret_state)
{
    enum err err = state_open(sealed, purpose, auth->state_key, time(NULL), ret_state);
    if (err == ERR_INVALID)
        err = state_open(sealed, purpose, auth->state_key_previous, time(NULL), ret_state);
    return err;
}

/* True: there is a code, and a state that was sealed here for this purpose; it is the caller's. */
static bool is_good(struct auth *auth, struct bus_call **call_p, const json_t *args,
                    enum state_purpose purpose, struct state *ret_state)
{
    const char *error = js_str(args, "error", ""), *sealed = js_str(args, "state", "");
    const char *code = js_str(args, "code", "");
    struct state state;
    if (error[0]) {
        AUTOFREE char *why = mem_printf("The sign-in was refused: %s", shown_error(error));
        turn_away(auth, call_p, args, why);
        return false;
    }
    enum err err = open_state(auth, sealed, purpose, &state);
    if (err) {
        turn_away(auth, call_p, args,
                  err == ERR_EXPIRED ? "This sign-in took too long: begin again"
                  : sealed[0]        ? "Invalid state: begin the sign-in again"
                                     : "Missing state: begin the sign-in again");
        return false;
    }
    if (!code[0] || strlen(code) > CODE_MAX_BYTES) {
        state_fini(&state);
        turn_away(auth, call_p, args, "Missing code: begin the sign-in again");
        return false;
    }
    *ret_state = state;
    return true;
}

void arrival_destroy(struct arrival **arrival_p)
{
    struct arrival *arrival = *arrival_p;
    *arrival_p = NULL;
    if (arrival->kind->fini)
        arrival->kind->fini(arrival);
    state_fini(&arrival->state);
    json_decref(arrival->args);
    free(arrival->user_id);
    free(arrival);
}

/* A stranger can begin any number of sign-ins and end them with codes of their own invention: these
 * fill no table. */
void arrival_fail(struct arrival *arrival, enum err err, const char *why)
{
    if (err == ERR_CANCELLED)
        err = ERR_UPSTREAM; /* this replica stops; the code may be used up */
    audit(arrival->auth, &(struct audit){.event = arrival->kind->failed,
                                         .user_id = arrival->user_id,
                                         .args = arrival->args,
                                         .why = why,
                                         .line_only = true});
    bus_reply_error(&arrival->call, err, "%s", why);
    arrival_destroy(&arrival);
}

void arrival_fail_in_store(struct arrival *arrival, enum err err)
{
    auth_reply_store_error(&arrival->call, err);
    arrival_destroy(&arrival);
}

static void on_profile(void *arg, enum err err, const char *why, const json_t *profile)
{
    struct arrival *arrival = arg;
    if (err)
        arrival_fail(arrival, err, why);
    else
        arrival->kind->on_profile(arrival, profile);
}

static void on_tokens(void *arg, enum err err, const char *why, const struct google_tokens *tokens)
{
    struct arrival *arrival = arg;
    if (err) {
        arrival_fail(arrival, err == ERR_UNAUTHENTICATED ? ERR_INVALID : err, why);
        return;
    }
    if (arrival->kind->on_tokens)
        arrival->kind->on_tokens(arrival, tokens);
    google_userinfo(arrival->auth->google, tokens->access_token, on_profile, arrival);
}

static void on_redeemed(void *arg, enum err err, int64_t value)
{
    (void)value;
    struct arrival *arrival = arg;
    if (err == ERR_CONFLICT) {
        arrival_fail(arrival, ERR_INVALID, "This sign-in was completed before: begin again");
    } else if (err) {
        arrival_fail_in_store(arrival, err);
    } else {
        AUTOFREE char *redirect = arrival->kind->redirect_uri(arrival);
        google_exchange(arrival->auth->google, js_str(arrival->args, "code", ""),
                        arrival->state.verifier, redirect, on_tokens, arrival);
    }
}

void arrival_begin(const struct arrival_kind *kind, struct auth *auth, struct bus_call *call,
                   json_t *args)
{
    struct state state;
    if (!is_good(auth, &call, args, kind->purpose, &state))
        return;
    struct arrival *arrival = mem_alloc(kind->size);
    *arrival = (struct arrival){
        .kind = kind, .auth = auth, .call = call, .args = json_incref(args), .state = state};
    store_nonce_redeem(auth->store, state.nonce, state.expires_at, on_redeemed, arrival);
}
