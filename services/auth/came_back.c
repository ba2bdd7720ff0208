#include "services/auth/came_back.h"

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

bool came_back(struct auth *auth, struct bus_call **call_p, const json_t *args,
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
