#include "services/gateway/gateway.h"

#include <string.h>
#include <time.h>

#include "libcommon/jwt.h"
#include "libcommon/mem.h"

static const char *bearer(const char *header)
{
    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return NULL;
    header += 7 + strspn(header + 7, " ");
    return *header ? header : NULL;
}

/* Good but for its age? jwt.h tells no reason; with the clock at 0 no token has expired. */
static bool is_only_expired(const struct settings *settings, const char *token)
{
    const char *const secrets[] = {settings->jwt_secret, settings->jwt_secret_previous, NULL};
    json_t *claims = NULL;
    if (jwt_door_verify_any(secrets, token, strlen(token), 0, &claims) != ERR_OK)
        return false;
    json_decref(claims);
    return true;
}

static bool take_identity(struct call *call, struct identity *identity, int64_t now_s)
{
    call->identity = identity;
    call->user_id = identity->user_id;
    call->issued_at = revocation_issued_at(identity->claims, now_s);
    return *call->user_id && strlen(call->user_id) <= ID_MAX;
}

bool tokens_authenticate(struct call *call)
{
    struct gateway *gateway = call->gateway;
    const char *token = bearer(http_request_header(call_request(call), "Authorization"));
    struct identity *identity = NULL;
    int64_t now_s = time(NULL);
    enum err error =
        token ? identities_find(gateway->identities, token, now_s, &identity) : ERR_UNAUTHENTICATED;
    if (!error && take_identity(call, identity, now_s))
        return true;
    if (!strangers_pass(call))
        return false;
    if (!token)
        call_unauthenticated(call, "Not authenticated");
    else if (error && is_only_expired(gateway->settings, token))
        call_unauthenticated(call, "Token has expired");
    else
        call_unauthenticated(call, "Invalid token");
    return false;
}

bool tokens_is_dead(const struct call *call)
{
    return revocation_list_is_dead(revocations_list(call->gateway->revocations), call->user_id,
                                   call->identity->generation, call->issued_at);
}

static void on_checked(struct call *call, const struct bus_answer *answer)
{
    if (call_failed(call, answer))
        return;
    if (js_bool(answer->result, "valid", false))
        call->route->handler(call);
    else
        call_unauthenticated(call, "Token has been revoked");
}

void tokens_check_revoked(struct call *call)
{
    if (tokens_is_dead(call)) {
        call_unauthenticated(call, "Token has been revoked");
        return;
    }
    if (revocations_fresh(call->gateway->revocations)) {
        call->route->handler(call);
        return;
    }
    json_t *args =
        json_pack("{s:s, s:I, s:I}", "user_id", call->user_id, "generation",
                  (json_int_t)call->identity->generation, "issued_at", (json_int_t)call->issued_at);
    call_bus(call, "auth.check", args, CHECK_TIMEOUT_MS, on_checked);
}
