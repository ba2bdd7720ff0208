/* Sessions as their users see them: status, a fresh token, the end of all tokens. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/auth/audit.h"

/* A call that waits for the store. */
struct waiting {
    struct auth *auth;
    struct bus_call *call;
    json_t *args;
    json_t *user; /* whom a token is for, and its generation */
    int64_t generation;
    bool forgets;
    int64_t seq; /* of the revocation */
};

static struct waiting *waiting_new(void *service, struct bus_call *call, json_t *args)
{
    struct waiting *waiting = mem_alloc(sizeof(*waiting));
    *waiting = (struct waiting){.auth = auth_of(service), .call = call, .args = json_incref(args)};
    return waiting;
}

static void waiting_cleanup(struct waiting **waiting_p)
{
    struct waiting *waiting = *waiting_p;
    if (!waiting)
        return;
    json_decref(waiting->args);
    json_decref(waiting->user);
    free(waiting);
}

#define AUTOWAITING __attribute__((cleanup(waiting_cleanup)))

static const char *user_of(const json_t *args)
{
    return js_str(args, "user_id", "");
}

void auth_reply_store_error(struct bus_call **call_p, enum err err)
{
    switch (err) {
    case ERR_TIMEOUT: /* never sent */
    case ERR_OVERLOADED:
        bus_reply_busy(call_p, ERR_OVERLOADED, 1000, "the database is not available");
        break;
    case ERR_PEER_LOST:
        bus_reply_busy(call_p, ERR_PEER_LOST, 1000, "the connection to the database was lost");
        break;
    case ERR_CANCELLED:
        bus_reply_busy(call_p, ERR_DRAINING, 1000, "the service is shutting down");
        break;
    default:
        bus_reply_error(call_p, ERR_INTERNAL, "the database refused");
    }
}

/* A column's list, empty when there is none. */
static json_t *column_array(const char *text)
{
    json_t *value = tokens_column(text);
    if (json_is_array(value))
        return value;
    json_decref(value);
    return json_array();
}

static void on_status(void *arg, enum err err, const struct store_session *session,
                      int64_t generation)
{
    (void)generation;
    AUTOWAITING struct waiting *waiting = arg;
    if (err) {
        auth_reply_store_error(&waiting->call, err);
        return;
    }
    json_t *selected = column_array(session ? session->selected_scopes : NULL);
    json_t *granted = column_array(session ? session->granted_scopes : NULL);
    AUTOJSON json_t *user = tokens_column(session ? session->user_data : NULL);
    json_int_t total = (json_int_t)json_array_size(granted);
    bus_reply(&waiting->call,
              json_pack("{s:b, s:o, s:o, s:s?, s:I}", "authenticated",
                        session && session->authenticated, "requested_scopes", selected,
                        "granted_scopes", granted, "email", js_str(user, "email", NULL),
                        "total_granted_scopes", total));
}

void sessions_status(void *service, struct bus_call *call, json_t *args)
{
    store_session_get(auth_of(service)->store, user_of(args), on_status,
                      waiting_new(service, call, args));
}

static void issue(struct waiting *waiting)
{
    char *token = NULL;
    enum err err = tokens_issue(waiting->auth->settings->jwt_secret, waiting->user,
                                waiting->generation, time(NULL), &token);
    if (err) {
        bus_reply_error(&waiting->call, ERR_INTERNAL, "the token could not be made");
    } else {
        audit(waiting->auth, &(struct audit){.event = "token_issued",
                                             .user_id = user_of(waiting->args),
                                             .args = waiting->args});
        bus_reply(&waiting->call,
                  json_pack("{s:s, s:s, s:O, s:i}", "access_token", token, "token_type", "bearer",
                            "user", waiting->user, "expires_in", TOKENS_LIFE_S));
    }
    mem_free_secret(&token);
}

static void refuse_login(struct waiting *waiting)
{
    static const char why[] = "Token has been revoked";
    audit(waiting->auth, &(struct audit){.event = "token_refused",
                                         .user_id = user_of(waiting->args),
                                         .args = waiting->args,
                                         .why = why});
    bus_reply_error(&waiting->call, ERR_UNAUTHENTICATED, why);
}

static void on_login_checked(void *arg, enum err err, int64_t valid)
{
    AUTOWAITING struct waiting *waiting = arg;
    if (err)
        auth_reply_store_error(&waiting->call, err);
    else if (!valid)
        refuse_login(waiting);
    else
        issue(waiting);
}

/* The generation is read before the old token is checked: a logout in between ends the new token
 * too. */
static void on_login(void *arg, enum err err, const struct store_session *session,
                     int64_t generation)
{
    struct waiting *waiting = arg;
    if (err) {
        auth_reply_store_error(&waiting->call, err);
        waiting_cleanup(&waiting);
        return;
    }
    AUTOJSON json_t *stored = tokens_column(session ? session->user_data : NULL);
    bool known = js_str(stored, "email", "")[0] != '\0';
    waiting->user = tokens_user(user_of(waiting->args), known ? stored : waiting->args);
    waiting->generation = generation;
    store_token_check(waiting->auth->store, user_of(waiting->args),
                      js_int(waiting->args, "generation", -1),
                      js_int(waiting->args, "issued_at", 0), on_login_checked, waiting);
}

void sessions_login(void *service, struct bus_call *call, json_t *args)
{
    store_session_get(auth_of(service)->store, user_of(args), on_login,
                      waiting_new(service, call, args));
}

static void erase(struct waiting *waiting);

static void on_erased(void *arg, enum err err, int64_t changed)
{
    struct waiting *waiting = arg;
    if (!err && changed) {
        erase(waiting);
        return;
    }
    char mark[AUDIT_MARK_SIZE];
    audit_mark(user_of(waiting->args), mark);
    if (err) {
        auth_reply_store_error(&waiting->call, err);
    } else {
        audit(waiting->auth,
              &(struct audit){.event = "user_forgotten", .user_id = mark, .line_only = true});
        bus_reply(&waiting->call, json_pack("{s:I}", "seq", (json_int_t)waiting->seq));
    }
    waiting_cleanup(&waiting);
}

static void erase(struct waiting *waiting)
{
    char mark[AUDIT_MARK_SIZE];
    audit_mark(user_of(waiting->args), mark);
    store_audit_erase(waiting->auth->store, user_of(waiting->args), mark, on_erased, waiting);
}

static void on_revoked(void *arg, enum err err, int64_t seq)
{
    struct waiting *waiting = arg;
    if (err) {
        auth_reply_store_error(&waiting->call, err);
        waiting_cleanup(&waiting);
        return;
    }
    bus_send(waiting->auth->bus, "gateway@*.revoked", json_pack("{s:I}", "seq", (json_int_t)seq));
    audit(waiting->auth, &(struct audit){.event = "tokens_ended",
                                         .user_id = user_of(waiting->args),
                                         .args = waiting->args,
                                         .line_only = waiting->forgets});
    waiting->seq = seq;
    if (waiting->forgets) {
        erase(waiting);
        return;
    }
    bus_reply(&waiting->call, json_pack("{s:I}", "seq", (json_int_t)seq));
    waiting_cleanup(&waiting);
}

void sessions_logout(void *service, struct bus_call *call, json_t *args)
{
    store_revoke(auth_of(service)->store, user_of(args), false, on_revoked,
                 waiting_new(service, call, args));
}

static void on_access_given_back(void *arg, enum err err, const char *why)
{
    struct waiting *waiting = arg;
    if (err)
        log_warning("google_revoke_failed", LOG_S("user_id", user_of(waiting->args)),
                    LOG_S("why", why));
    store_revoke(waiting->auth->store, user_of(waiting->args), true, on_revoked, waiting);
}

/* Access goes first: were it the row, a crash in between would leave it with nobody who knows it.
 */
static void on_forget(void *arg, enum err err, const struct store_session *session,
                      int64_t generation)
{
    (void)generation;
    struct waiting *waiting = arg;
    struct auth *auth = waiting->auth;
    waiting->forgets = true;
    if (err) {
        auth_reply_store_error(&waiting->call, err);
        waiting_cleanup(&waiting);
        return;
    }
    struct grant grant = {.access_token = NULL};
    if (session && session->token_data &&
        grant_open(&auth->keys, session->user_id, session->token_data, &grant))
        log_warning("tokens_unreadable", LOG_S("user_id", session->user_id));
    const char *token = grant.refresh_token ? grant.refresh_token : grant.access_token;
    if (token)
        google_revoke(auth->google, token, on_access_given_back, waiting);
    else
        store_revoke(auth->store, user_of(waiting->args), true, on_revoked, waiting);
    grant_fini(&grant);
}

void sessions_forget(void *service, struct bus_call *call, json_t *args)
{
    store_session_get(auth_of(service)->store, user_of(args), on_forget,
                      waiting_new(service, call, args));
}

static void on_revocations(void *arg, enum err err, int64_t seq,
                           const struct store_revocation *list, size_t count)
{
    AUTOWAITING struct waiting *waiting = arg;
    if (err) {
        auth_reply_store_error(&waiting->call, err);
        return;
    }
    json_t *revoked = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            revoked, json_pack("{s:I, s:s, s:I, s:I}", "seq", (json_int_t)list[i].seq, "user_id",
                               list[i].user_id, "generation", (json_int_t)list[i].generation, "at",
                               (json_int_t)list[i].at));
    bus_reply(&waiting->call, json_pack("{s:I, s:o}", "seq", (json_int_t)seq, "revoked", revoked));
}

void sessions_revocations(void *service, struct bus_call *call, json_t *args)
{
    store_revocations(auth_of(service)->store, js_int(args, "after", 0), on_revocations,
                      waiting_new(service, call, args));
}

static void on_check(void *arg, enum err err, int64_t valid)
{
    AUTOWAITING struct waiting *waiting = arg;
    if (err)
        auth_reply_store_error(&waiting->call, err);
    else
        bus_reply(&waiting->call, json_pack("{s:b}", "valid", valid != 0));
}

void sessions_check(void *service, struct bus_call *call, json_t *args)
{
    store_token_check(auth_of(service)->store, user_of(args), js_int(args, "generation", -1),
                      js_int(args, "issued_at", 0), on_check, waiting_new(service, call, args));
}

static void on_found(void *arg, enum err err, const json_t *users)
{
    AUTOWAITING struct waiting *waiting = arg;
    if (err)
        auth_reply_store_error(&waiting->call, err);
    else
        bus_reply(&waiting->call, json_pack("{s:O}", "users", users));
}

void sessions_find(void *service, struct bus_call *call, json_t *args)
{
    store_users_find(auth_of(service)->store, js_str(args, "email", ""), on_found,
                     waiting_new(service, call, args));
}
