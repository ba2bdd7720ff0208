#include "services/gateway/gateway.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/crypto.h"
#include "libcommon/mem.h"

enum { SCOPES_MAX = 64, CODE_MAX = 4096, ERROR_MAX = 1024, NAME_MAX_BYTES = 1024 };

static const struct scope {
    const char *name, *url, *description;
} scopes[] = {
#define SCOPE(name, url, description) {name, url, description},
#include "proto/scopes.def"
#undef SCOPE
};
enum { SCOPE_COUNT = sizeof(scopes) / sizeof(*scopes) };

static bool is_scope(const char *name)
{
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (strcmp(scopes[i].name, name) == 0)
            return true;
    return false;
}

void route_scopes(struct call *call)
{
    json_t *available = json_object();
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        json_object_set_new(
            available, scopes[i].name,
            json_pack("{s:s, s:s}", "scope", scopes[i].url, "description", scopes[i].description));
    call_json(call, 200,
              json_pack("{s:o, s:s}", "available_scopes", available, "description",
                        "Choose the scopes that your jobs may use and POST them to /auth/scopes"));
}

/* The unknown names, in the original's form. */
static bool refuse_unknown(struct call *call, const json_t *names)
{
    struct buf text;
    size_t i;
    json_t *name;
    bool any = false;
    buf_init(&text, 4096);
    json_array_foreach(names, i, name)
    {
        if (is_scope(json_string_value(name)))
            continue;
        buf_printf(&text, "%s'%.64s'", any ? ", " : "", json_string_value(name));
        any = true;
    }
    if (any) {
        AUTOFREE char *detail = mem_printf("Invalid scopes: [%s]", buf_text(&text));
        call_detail(call, 400, detail);
    }
    buf_fini(&text);
    return any;
}

/* A list of strings, borrowed; NULL: answered. */
static json_t *validate_scopes(struct call *call, json_t *body)
{
    json_t *list = json_object_get(body, "scopes"), *name;
    size_t i;
    if (!list) {
        validation_error(call, "missing", json_pack("[s, s]", "body", "scopes"), "Field required",
                         body, NULL);
        return NULL;
    }
    if (!json_is_array(list)) {
        validation_error(call, "list_type", json_pack("[s, s]", "body", "scopes"),
                         "Input should be a valid list", list, NULL);
        return NULL;
    }
    if (json_array_size(list) > SCOPES_MAX) {
        validation_error(call, "too_long", json_pack("[s, s]", "body", "scopes"),
                         "List should have at most 64 items", NULL,
                         json_pack("{s:i}", "max_length", SCOPES_MAX));
        return NULL;
    }
    json_array_foreach(list, i, name)
    {
        if (json_is_string(name))
            continue;
        validation_error(call, "string_type", json_pack("[s, s, i]", "body", "scopes", (int)i),
                         "Input should be a valid string", name, NULL);
        return NULL;
    }
    return list;
}

static void on_begun(struct call *call, const struct bus_answer *answer)
{
    if (call_failed(call, answer))
        return;
    call_json(call, 200,
              json_pack("{s:s, s:s, s:s, s:s}", "auth_url", js_str(answer->result, "auth_url", ""),
                        "user_id", js_str(answer->result, "user_id", ""), "state",
                        js_str(answer->result, "state", ""), "message",
                        "Open auth_url in a browser to grant the scopes"));
}

void route_begin(struct call *call)
{
    AUTOJSON json_t *body = validate_body(call);
    json_t *list = body ? validate_scopes(call, body) : NULL;
    if (!list || refuse_unknown(call, list))
        return;
    AUTOFREE char *origin = client_origin(call);
    call_bus(call, "auth.begin", json_pack("{s:O, s:s*}", "scopes", list, "origin", origin),
             CALL_TIMEOUT_MS, on_begun);
}

static bool wants_json(const struct call *call)
{
    const char *accept = http_request_header(call_request(call), "Accept");
    return accept && strcasestr(accept, "application/json");
}

/* The page of a sign-in: nothing but itself may run, and nothing may keep or leak it. */
static void answer_page(struct call *call, int status, const char *page, const char *nonce)
{
    const char *scripts = chat_page_on(call->gateway) ? "script-src 'self'; " : "";
    char policy[256];
    snprintf(policy, sizeof(policy),
             "default-src 'none'; %sstyle-src 'nonce-%s'; base-uri 'none'; form-action 'none'; "
             "frame-ancestors 'none'",
             scripts, nonce);
    struct http_header headers[] = {{"Content-Security-Policy", policy},
                                    {"Referrer-Policy", "no-referrer"},
                                    {"Cache-Control", "no-store"},
                                    {"X-Frame-Options", "DENY"},
                                    {0}};
    http_respond(call_request(call), status, "text/html; charset=utf-8", page, strlen(page),
                 headers);
}

static char *make_nonce(void)
{
    uint8_t random[16];
    crypto_random(random, sizeof(random));
    return crypto_base64url_encode(random, sizeof(random));
}

static void callback_failed(struct call *call, int status, const char *detail)
{
    if (wants_json(call)) {
        call_detail(call, status, detail);
        return;
    }
    AUTOFREE char *nonce = make_nonce();
    AUTOFREE char *page = callback_error_page(detail, nonce, chat_page_on(call->gateway));
    answer_page(call, status, page, nonce);
}

static void answer_login(struct call *call, const json_t *login)
{
    static const struct http_header headers[] = {{"Cache-Control", "no-store"}, {0}};
    AUTOJSON json_t *body = json_object();
    static const char *const names[] = {"access_token", "token_type", "user", "expires_in"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        json_object_set(body, names[i], json_object_get(login, names[i]));
    AUTOFREE char *text = js_dump(body);
    http_respond(call_request(call), 200, "application/json", text, strlen(text), headers);
}

static void on_callback(struct call *call, const struct bus_answer *answer)
{
    int status = err_http(answer->error);
    if (answer->error && (status == 503 || status == 429)) {
        call_failed(call, answer);
    } else if (answer->error) {
        callback_failed(call, status == 401 ? 400 : status,
                        status == 500 ? "Internal server error" : answer->detail);
    } else if (wants_json(call)) {
        answer_login(call, answer->result);
    } else {
        AUTOFREE char *nonce = make_nonce();
        AUTOFREE char *page = callback_page(answer->result, nonce, chat_page_on(call->gateway));
        answer_page(call, 200, page, nonce);
    }
}

void route_callback(struct call *call)
{
    static const struct {
        const char *name;
        size_t max;
    } parameters[] = {{"code", CODE_MAX}, {"state", CODE_MAX}, {"error", ERROR_MAX}};
    json_t *args = json_object();
    for (size_t i = 0; i < sizeof(parameters) / sizeof(*parameters); i++) {
        const char *value = http_request_query(call_request(call), parameters[i].name);
        if (value && strlen(value) > parameters[i].max) {
            json_decref(args);
            callback_failed(call, 400, "A parameter is too long");
            return;
        }
        if (value)
            json_object_set_new(args, parameters[i].name, json_string(value));
    }
    call_bus(call, "auth.callback", client_add(call, args), SIGN_IN_TIMEOUT_MS, on_callback);
}

static void on_status(struct call *call, const struct bus_answer *answer)
{
    if (call_failed(call, answer))
        return;
    static const char *const names[] = {"authenticated", "requested_scopes", "granted_scopes",
                                        "email", "total_granted_scopes"};
    json_t *body = json_object();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        json_t *value = json_object_get(answer->result, names[i]);
        json_object_set(body, names[i], value ? value : json_null());
    }
    call_json(call, 200, body);
}

void route_auth_status(struct call *call)
{
    call_bus(call, "auth.status", json_pack("{s:s}", "user_id", call->user_id), CALL_TIMEOUT_MS,
             on_status);
}

static void on_login(struct call *call, const struct bus_answer *answer)
{
    if (!call_failed(call, answer))
        answer_login(call, answer->result);
}

void route_login(struct call *call)
{
    static const struct {
        const char *name;
        size_t max;
    } claims[] = {{"email", 512}, {"name", NAME_MAX_BYTES}, {"picture", 4096}};
    json_t *args =
        json_pack("{s:s, s:I, s:I}", "user_id", call->user_id, "generation",
                  (json_int_t)call->identity->generation, "issued_at", (json_int_t)call->issued_at);
    for (size_t i = 0; i < sizeof(claims) / sizeof(*claims); i++) {
        const char *value = js_str(call->identity->claims, claims[i].name, NULL);
        if (value && strlen(value) <= claims[i].max)
            json_object_set_new(args, claims[i].name, json_string(value));
    }
    call_bus(call, "auth.login", client_add(call, args), CALL_TIMEOUT_MS, on_login);
}

static void on_logout(struct call *call, const struct bus_answer *answer)
{
    if (call_failed(call, answer))
        return;
    revocations_hint(call->gateway->revocations);
    call_json(call, 200, json_pack("{s:s}", "message", "Logged out: your tokens no longer work"));
}

void route_logout(struct call *call)
{
    call_bus(call, "auth.logout", client_add(call, json_pack("{s:s}", "user_id", call->user_id)),
             CALL_TIMEOUT_MS, on_logout);
}

static void make_me(struct identity *identity)
{
    static const char *const names[] = {"id", "email", "name", "picture", "exp"};
    json_t *user = json_object();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        json_t *value = json_object_get(identity->claims, names[i]);
        json_object_set(user, names[i], value ? value : json_null());
    }
    AUTOJSON json_t *body = json_pack("{s:o, s:s}", "user", user, "message", "You are signed in");
    identity->me = js_dump(body);
    identity->me_len = strlen(identity->me);
}

void route_me(struct call *call)
{
    struct identity *identity = call->identity;
    if (!identity->me)
        make_me(identity);
    call_text(call, 200, identity->me, identity->me_len);
}
