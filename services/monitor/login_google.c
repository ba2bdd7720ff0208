/* The way in by Google: auth walks it, and says who came. The browser that began has a cookie that
 * goes with its state, so that nobody can send another browser through the end of their own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/crypto.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/monitor/login_internal.h"
#include "services/monitor/login_read.h"

#define BIND_COOKIE "mcpbus_monitor_google"

enum {
    BIND_LIFE_S = 600,
    PARAMETER_MAX = 4096,
    CALL_TIMEOUT_MS = 10000,
    SIGN_IN_TIMEOUT_MS = 25000
};

/* A browser that waits for auth's answer. */
struct pending {
    struct pending *next;
    struct login *login;
    struct http_server *http;
    uint64_t request, call;
};

static struct http_request *request_of(const struct pending *pending)
{
    return http_request_find(pending->http, pending->request);
}

static void pending_free(struct pending *pending)
{
    struct login *login = pending->login;
    struct pending **link = &login->pending;
    while (*link != pending)
        link = &(*link)->next;
    *link = pending->next;
    login->pending_count--;
    free(pending);
}

void login_google_stop(struct login *login)
{
    while (login->pending) {
        bus_cancel(login->service->bus, login->pending->call);
        pending_free(login->pending);
    }
}

static void ask(struct login *login, struct http_server *http, struct http_request *request,
                const char *method, json_t *args, int64_t timeout_ms, bus_answer_fn *done)
{
    struct pending *pending = mem_alloc(sizeof(*pending));
    pending->login = login;
    pending->http = http;
    pending->request = http_request_id(request);
    pending->next = login->pending;
    login->pending = pending;
    login->pending_count++;
    pending->call =
        bus_call(login->service->bus,
                 (struct bus_request){.method = method, .args = args, .timeout_ms = timeout_ms},
                 done, pending);
}

static void answer_fault(struct http_request *request, int status, const char *text)
{
    login_answer_page(request, status, login_page_fault("The sign-in failed", text), NULL);
}

/* Each visit costs auth some work, and the way back asks Google: strangers may do it now and then.
 */
static bool may_visit(struct login *login, struct http_request *request)
{
    char network[CLIENT_ADDRESS_SIZE], address[CLIENT_ADDRESS_SIZE];
    int64_t now = loop_now(login->service->loop);
    login_client(login, request, network, address);
    if (!login->settings->monitor_admins) {
        answer_fault(request, 404,
                     "Nobody can sign in with Google here: MONITOR_ADMINS is not set.");
        return false;
    }
    if (login->pending_count >= LOGIN_PENDING_MAX ||
        guesses_wait(login->visits, network, now) > 0) {
        answer_fault(request, 429, "Too many sign-ins at once. Wait a minute, then try again.");
        return false;
    }
    guesses_failed(login->visits, network, now);
    return true;
}

/* The way there */

static void on_begun(void *arg, const struct bus_answer *answer)
{
    struct pending *pending = arg;
    struct login *login = pending->login;
    struct http_request *request = request_of(pending);
    if (!answer->last)
        return;
    pending_free(pending);
    if (!request)
        return;
    if (answer->error) {
        answer_fault(request, 503,
                     "The service that signs in with Google gives no answer. Is "
                     "mcpbus-auth running? Try again in a moment.");
        return;
    }
    char mac[TICKET_MAC_SIZE], cookie[LOGIN_COOKIE_SIZE];
    ticket_bind(&login->keys, 0, js_str(answer->result, "state", ""), mac);
    snprintf(cookie, sizeof(cookie),
             BIND_COOKIE "=%s; Path=/auth/callback; Max-Age=%d; HttpOnly; SameSite=Lax%s", mac,
             BIND_LIFE_S, login_came_by_tls(login, request) ? "; Secure" : "");
    struct http_header headers[] = {
        {"Location", js_str(answer->result, "auth_url", "")}, {"Set-Cookie", cookie}, {0}};
    http_respond(request, 302, NULL, NULL, 0, headers);
}

/* Where Google sends the browser; free() it. */
static char *make_redirect(const struct login *login, const struct http_server *http)
{
    const char *url = login->settings->monitor_public_url;
    if (!url)
        return mem_printf("http://localhost:%d/auth/callback", http_server_port(http));
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    return mem_printf("%.*s/auth/callback", (int)len, url);
}

/* Browsers keep cookies by host: a sign-in that began at 127.0.0.1 would come back to localhost as
 * a stranger's. True: the browser has been sent to the host that Google knows. */
static bool send_to_public_host(struct http_request *request, const char *redirect)
{
    const char *host = http_request_header(request, "Host");
    const char *own = strstr(redirect, "://") + 3;
    size_t len = strcspn(own, "/");
    if (!host || http_request_query(request, "here") ||
        (strlen(host) == len && strncasecmp(host, own, len) == 0))
        return false;
    AUTOFREE char *url =
        mem_printf("%.*s/login/google?here=1", (int)(own + len - redirect), redirect);
    struct http_header headers[] = {{"Location", url}, {0}};
    http_respond(request, 303, NULL, NULL, 0, headers);
    return true;
}

void login_google(struct login *login, struct http_server *http, struct http_request *request)
{
    AUTOFREE char *redirect = make_redirect(login, http);
    if (may_visit(login, request) && !send_to_public_host(request, redirect))
        ask(login, http, request, "auth.identify_begin", json_pack("{s:s}", "redirect", redirect),
            CALL_TIMEOUT_MS, on_begun);
}

/* The way back */

static void enter(struct login *login, struct http_request *request, const char *email)
{
    char cookie[LOGIN_COOKIE_SIZE];
    login_make_cookie(login, request, email, "google", cookie);
    login_answer_page(request, 200, login_page_go_on(), cookie);
}

static void turn_away(struct login *login, struct http_request *request, const char *why,
                      const char *text)
{
    char network[CLIENT_ADDRESS_SIZE], address[CLIENT_ADDRESS_SIZE];
    login_client(login, request, network, address);
    log_warning("login_refused", LOG_S("how", "google"), LOG_S("why", why),
                LOG_S("client", address), LOG_S("request_id", http_request_trace(request)));
    login_answer_page(request, 403, login_page_fault("This account may not enter", text), NULL);
}

static void judge(struct login *login, struct http_request *request, const json_t *who)
{
    const char *email = js_str(who, "email", "");
    if (!*email || strlen(email) >= TICKET_NAME_SIZE || !js_bool(who, "email_verified", false)) {
        turn_away(login, request, "the address is not verified",
                  "Google has not verified that this account's address is its own.");
    } else if (!login_admins_have(login->settings->monitor_admins, email)) {
        AUTOFREE char *text = mem_printf(
            "%s is not in MONITOR_ADMINS. Sign in with another account, or ask whoever runs mcpbus.",
            email);
        turn_away(login, request, "the address is not in MONITOR_ADMINS", text);
    } else {
        enter(login, request, email);
    }
}

static void on_identified(void *arg, const struct bus_answer *answer)
{
    struct pending *pending = arg;
    struct login *login = pending->login;
    struct http_request *request = request_of(pending);
    if (!answer->last)
        return;
    pending_free(pending);
    if (!request)
        return;
    if (!answer->error)
        judge(login, request, answer->result);
    else if (answer->error == ERR_INVALID)
        answer_fault(request, 400, answer->detail);
    else
        answer_fault(request, answer->error == ERR_UPSTREAM ? 502 : 503,
                     answer->error == ERR_UPSTREAM
                         ? answer->detail
                         : "The service that signs in with Google gives no answer. Try again.");
}

static bool is_bound(const struct login *login, const struct http_request *request,
                     const char *state)
{
    const char *header = http_request_header(request, "Cookie");
    AUTOFREE char *cookie = header ? login_read_cookie(header, BIND_COOKIE) : NULL;
    char mac[TICKET_MAC_SIZE];
    bool bound = false;
    for (size_t i = 0; cookie && i < login->keys.count; i++) {
        ticket_bind(&login->keys, i, state, mac);
        bound |= strlen(cookie) == strlen(mac) && crypto_equal(cookie, mac, strlen(mac));
    }
    return bound;
}

/* NULL: one is too long, and it was answered. */
static json_t *read_parameters(struct http_request *request)
{
    static const char *const names[] = {"code", "state", "error"};
    json_t *args = json_object();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *value = http_request_query(request, names[i]);
        if (value && strlen(value) > (i == 2 ? 1024 : PARAMETER_MAX)) {
            json_decref(args);
            answer_fault(request, 400, "A parameter is too long.");
            return NULL;
        }
        if (value)
            json_object_set_new(args, names[i], json_string(value));
    }
    return args;
}

void login_return(struct login *login, struct http_server *http, struct http_request *request)
{
    char network[CLIENT_ADDRESS_SIZE], address[CLIENT_ADDRESS_SIZE];
    const char *state = http_request_query(request, "state");
    if (!may_visit(login, request))
        return;
    if (!state || strlen(state) > PARAMETER_MAX || !is_bound(login, request, state)) {
        answer_fault(request, 400,
                     "This sign-in was not begun in this browser, or took too long. Begin again.");
        return;
    }
    json_t *args = read_parameters(request);
    if (!args)
        return;
    login_client(login, request, network, address);
    json_object_set_new(args, "client", json_string(address));
    json_object_set_new(args, "request_id", json_string(http_request_trace(request)));
    ask(login, http, request, "auth.identify", args, SIGN_IN_TIMEOUT_MS, on_identified);
}
