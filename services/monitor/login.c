#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/bus_keys.h"
#include "libcommon/form.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/monitor/login_internal.h"
#include "services/monitor/login_read.h"

enum { SAID_EVERY_MS = 60 * 1000, COOKIE_LINES_MAX = 8 };

/* Sixteen characters drawn at random take longer than the world lasts at these rates; the limits
 * are for the tokens that people think of. */
static const struct guess_limits token_limits = {
    .one = 10, .one_refill_ms = 6000, .all = 100, .all_refill_ms = 200, .addresses_max = 4096};
static const struct guess_limits visit_limits = {
    .one = 20, .one_refill_ms = 3000, .all = 200, .all_refill_ms = 100, .addresses_max = 4096};

/* Start and stop */

static bool settings_are_good(const struct settings *settings, struct proxies **ret_proxies)
{
    if (!settings->monitor_token && !settings->monitor_admins) {
        fprintf(
            stderr,
            "mcpbus-monitor: MONITOR_TOKEN or MONITOR_ADMINS must be set, or nobody could enter: "
            "a secret of at least 16 characters (openssl rand -hex 32), or addresses of Google "
            "accounts\n");
        return false;
    }
    if (settings->monitor_admins && !login_admins_are_good(settings->monitor_admins)) {
        fprintf(stderr,
                "mcpbus-monitor: MONITOR_ADMINS takes addresses like ada@example.com, with commas, "
                "not \"%.100s\"\n",
                settings->monitor_admins);
        return false;
    }
    bool forwarded = strcmp(settings->trusted_proxy_header, "forwarded") == 0;
    if (proxies_new(settings->trusted_proxies, forwarded, ret_proxies)) {
        fprintf(stderr,
                "mcpbus-monitor: TRUSTED_PROXIES takes IP addresses and networks like 10.0.0.0/8, "
                "with commas, not \"%.100s\"\n",
                settings->trusted_proxies);
        return false;
    }
    return true;
}

/* Without a token the replicas have their key of the bus in common. */
static void make_keys(struct login *made)
{
    const struct settings *settings = made->settings;
    struct bus_cert cert = {.secret_key = ""};
    char why[BUS_WHY_SIZE];
    AUTOFREE char *path = service_key(settings->bus_keys, settings->bus_key, "monitor");
    const char *secret = settings->monitor_token;
    bool curve = strcmp(settings->bus_security, "curve") == 0;
    if (!secret && curve && bus_keys_load_secret(path, &cert, why) == ERR_OK)
        secret = cert.secret_key;
    login_keys_init(&made->keys, secret, settings->monitor_token_previous);
    bus_cert_wipe(&cert);
}

static void add_mac(struct login *made, const char *secret)
{
    if (secret)
        crypto_hmac_sha256(made->mac_key, sizeof(made->mac_key), secret, strlen(secret),
                           made->macs[made->mac_count++]);
}

enum err login_start(struct service *service, struct login **ret_login)
{
    const struct settings *settings = service->settings;
    struct proxies *proxies = NULL;
    if (!settings_are_good(settings, &proxies))
        return ERR_INVALID;
    struct login *made = mem_alloc(sizeof(*made));
    made->service = service;
    made->settings = settings;
    made->proxies = proxies;
    made->tokens = guesses_new(&token_limits);
    made->visits = guesses_new(&visit_limits);
    make_keys(made);
    crypto_random(made->mac_key, sizeof(made->mac_key));
    add_mac(made, settings->monitor_token);
    add_mac(made, settings->monitor_token ? settings->monitor_token_previous : NULL);
    *ret_login = made;
    return ERR_OK;
}

void login_destroy(struct login **login_p)
{
    struct login *login = *login_p;
    if (!login)
        return;
    *login_p = NULL;
    login_google_stop(login);
    guesses_destroy(&login->tokens);
    guesses_destroy(&login->visits);
    proxies_destroy(&login->proxies);
    explicit_bzero(login, sizeof(*login)); /* keys */
    free(login);
}

/* Who asks */

bool login_client(const struct login *login, const struct http_request *request,
                  char ret_network[CLIENT_ADDRESS_SIZE], char ret_address[CLIENT_ADDRESS_SIZE])
{
    struct client client;
    const char *public_url = login->settings->monitor_public_url;
    client_of(login->proxies, request, &client);
    client_network(client.address, ret_network);
    snprintf(ret_address, CLIENT_ADDRESS_SIZE, "%s", client.address);
    return client.https || (public_url && strncmp(public_url, "https:", strlen("https:")) == 0);
}

bool login_came_by_tls(const struct login *login, const struct http_request *request)
{
    char network[CLIENT_ADDRESS_SIZE], address[CLIENT_ADDRESS_SIZE];
    return login_client(login, request, network, address);
}

static bool is_right(const struct login *login, const char *secret)
{
    uint8_t mac[CRYPTO_SHA256_BYTES];
    bool right = false;
    crypto_hmac_sha256(login->mac_key, sizeof(login->mac_key), secret, strlen(secret), mac);
    for (size_t i = 0; i < login->mac_count; i++)
        right |= crypto_equal(mac, login->macs[i], sizeof(mac));
    return right;
}

/* Beyond the limit it isn't even looked at: else the answer would tell. */
enum verdict login_try(struct login *login, const struct http_request *request, const char *secret,
                       int64_t *ret_wait_ms)
{
    char network[CLIENT_ADDRESS_SIZE], address[CLIENT_ADDRESS_SIZE];
    int64_t now = loop_now(login->service->loop);
    login_client(login, request, network, address);
    *ret_wait_ms = guesses_wait(login->tokens, network, now);
    if (*ret_wait_ms > 0) {
        if (now >= login->said_at) {
            login->said_at = now + SAID_EVERY_MS;
            log_warning("login_limited", LOG_S("client", address));
        }
        return VERDICT_LIMITED;
    }
    if (is_right(login, secret)) {
        guesses_succeeded(login->tokens, network, now);
        return VERDICT_RIGHT;
    }
    guesses_failed(login->tokens, network, now);
    log_warning("login_failed", LOG_S("client", address),
                LOG_S("request_id", http_request_trace(request)),
                LOG_S("path", http_request_path(request)));
    return VERDICT_WRONG;
}

static bool open_named(const struct login *login, const char *line, size_t key,
                       struct ticket *ret_ticket)
{
    char name[TICKET_COOKIE_SIZE];
    ticket_cookie_name(&login->keys, key, name);
    AUTOFREE char *sealed = login_read_cookie(line, name);
    return sealed && ticket_open(&login->keys, sealed, time(NULL), ret_ticket) == ERR_OK;
}

/* Who was on the list and is no more has a cookie that is good for nothing. */
static bool is_welcome(const struct login *login, const struct ticket *ticket)
{
    const char *admins = login->settings->monitor_admins;
    return strcmp(ticket->how, "google") != 0 ||
           (admins && login_admins_have(admins, ticket->name));
}

bool login_open_cookie(const struct login *login, const struct http_request *request,
                       struct ticket *ret_ticket)
{
    const char *lines[COOKIE_LINES_MAX];
    size_t count = http_request_header_all(request, "Cookie", lines, COOKIE_LINES_MAX);
    for (size_t i = 0; i < count; i++)
        for (size_t key = 0; key < login->keys.count; key++)
            if (open_named(login, lines[i], key, ret_ticket) && is_welcome(login, ret_ticket))
                return true;
    return false;
}

/* Guessing a cookie is hopeless and old ones are common, so cookies are not counted: else a page
 * left open over night would use up what its owner has to sign in again. */
static enum verdict find_out(struct login *login, const struct http_request *request,
                             struct login_identity *ret_who, int64_t *ret_wait_ms)
{
    struct ticket ticket;
    bool basic = false, cookie = login_open_cookie(login, request, &ticket);
    const char *header = http_request_header(request, "Authorization");
    char *secret = header ? login_read_authorization(header, &basic) : NULL;
    enum verdict verdict = VERDICT_WRONG;
    *ret_who = (struct login_identity){.how = ""};
    *ret_wait_ms = 0;
    if (secret && cookie)
        verdict = is_right(login, secret) ? VERDICT_RIGHT : VERDICT_WRONG;
    else if (secret)
        verdict = login_try(login, request, secret, ret_wait_ms);
    mem_free_secret(&secret);
    if (verdict == VERDICT_RIGHT) {
        snprintf(ret_who->name, sizeof(ret_who->name), "token");
        ret_who->how = basic ? "basic" : "token";
    } else if (cookie) {
        *ret_who = (struct login_identity){.by_cookie = true};
        ret_who->how = strcmp(ticket.how, "google") == 0 ? "google" : "token";
        memcpy(ret_who->name, ticket.name, sizeof(ticket.name));
        verdict = VERDICT_RIGHT;
    }
    return verdict;
}

/* May it go on */

static void answer_detail(struct http_request *request, int status, const char *detail,
                          const struct http_header *headers)
{
    AUTOFREE char *body = mem_printf("{\"detail\":\"%s\"}", detail); /* of literals */
    http_respond(request, status, "application/json", body, strlen(body), headers);
}

void login_answer_busy(struct http_request *request, int64_t wait_ms)
{
    static const char why[] = "Too many failed sign-ins: wait a little, then try again";
    char seconds[24];
    snprintf(seconds, sizeof(seconds), "%lld", (long long)((wait_ms + 999) / 1000));
    struct http_header headers[] = {{"Retry-After", seconds}, {0}};
    answer_detail(request, 429, why, headers);
}

static bool wants_page(const struct http_request *request)
{
    const char *accept = http_request_header(request, "Accept");
    return accept && strstr(accept, "text/html") &&
           strcmp(http_request_method(request), "GET") == 0;
}

static bool header_is(const struct http_request *request, const char *name, const char *value)
{
    const char *is = http_request_header(request, name);
    return is && strcmp(is, value) == 0;
}

/* A browser sends a cookie that is for our pages alone only when one of them asks: who comes by a
 * link of another site may be signed in all the same, and is asked once more from a page of ours.
 */
static void send_to_sign_in(struct http_request *request)
{
    static const struct http_header headers[] = {{"Location", "/login"}, {0}};
    if (header_is(request, "Sec-Fetch-Site", "cross-site") &&
        strcmp(http_request_path(request), "/") == 0)
        login_answer_page(request, 200, login_page_go_on(), NULL);
    else
        http_respond(request, 303, NULL, NULL, 0, headers);
}

static void refuse(struct http_request *request, enum verdict verdict, int64_t wait_ms)
{
    static const struct http_header headers[] = {{"WWW-Authenticate", "Bearer"}, {0}};
    if (verdict == VERDICT_LIMITED)
        login_answer_busy(request, wait_ms);
    else if (wants_page(request) && !http_request_header(request, "Authorization"))
        send_to_sign_in(request);
    else
        answer_detail(request, 401,
                      "Sign in first: at /login, or send Authorization: Bearer MONITOR_TOKEN",
                      headers);
}

static bool is_own_origin(const struct login *login, const struct http_request *request,
                          const char *origin)
{
    const char *host = http_request_header(request, "Host");
    return login_is_own_origin(origin, host ? host : "", login_came_by_tls(login, request),
                               login->settings->monitor_public_url);
}

bool login_comes_from_us(const struct login *login, const struct http_request *request)
{
    const char *origin = http_request_header(request, "Origin");
    const char *site = http_request_header(request, "Sec-Fetch-Site");
    if (origin && strcmp(origin, "null") != 0)
        return is_own_origin(login, request, origin);
    if (site)
        return strcmp(site, "same-origin") == 0;
    return !origin; /* no browser, or one of long ago; "null" is a page of nowhere */
}

/* A browser adds the cookie, and what it remembers of Basic, to what any page makes it send. A page
 * of another origin can't set the header without asking first, which is not answered. */
static bool is_meant(const struct login *login, const struct http_request *request,
                     const struct login_identity *who)
{
    const char *method = http_request_method(request);
    const char *origin = http_request_header(request, "Origin");
    if (strcmp(method, "GET") == 0)
        return true;
    if (who->by_cookie)
        return header_is(request, "X-Requested-With", "mcpbus") && origin &&
               is_own_origin(login, request, origin);
    return strcmp(who->how, "basic") != 0 || login_comes_from_us(login, request);
}

bool login_allows(struct login *login, struct http_request *request, struct login_identity *ret_who)
{
    struct login_identity who;
    int64_t wait_ms;
    enum verdict verdict = find_out(login, request, &who, &wait_ms);
    if (verdict != VERDICT_RIGHT) {
        refuse(request, verdict, wait_ms);
        return false;
    }
    if (is_meant(login, request, &who)) {
        if (ret_who)
            *ret_who = who;
        return true;
    }
    log_warning("login_cross_site", LOG_S("name", who.name),
                LOG_S("request_id", http_request_trace(request)),
                LOG_S("path", http_request_path(request)));
    answer_detail(request, 403,
                  "Not from a page of the dashboard: with its cookie a request needs a matching "
                  "Origin and X-Requested-With: mcpbus",
                  NULL);
    return false;
}

static void answer_session(struct login *login, struct http_server *http,
                           struct http_request *request)
{
    struct login_identity who;
    (void)http;
    if (!login_allows(login, request, &who))
        return;
    AUTOJSON json_t *body = json_pack("{s:s, s:s}", "name", who.name, "how", who.how);
    AUTOFREE char *text = js_dump(body);
    http_respond(request, 200, "application/json", text, strlen(text), NULL);
}

/* The sign-in's own addresses */

static const struct own_route {
    const char *method, *path;
    login_handler_fn *handler;
} own_routes[] = {
    {"GET", "/login", login_show},           {"POST", "/login", login_submit},
    {"POST", "/logout", login_leave},        {"GET", "/login/google", login_google},
    {"GET", "/auth/callback", login_return}, {"GET", "/api/session", answer_session},
};

bool login_serves(struct login *login, struct http_server *http, struct http_request *request)
{
    const char *method = http_request_method(request), *path = http_request_path(request);
    for (size_t i = 0; i < sizeof(own_routes) / sizeof(*own_routes); i++) {
        const struct own_route *route = &own_routes[i];
        if (strcmp(route->method, method) == 0 && strcmp(route->path, path) == 0) {
            route->handler(login, http, request);
            return true;
        }
    }
    return false;
}
