/* What the files of the sign-in share. Loop's thread only. */
#ifndef MCPBUS_MONITOR_LOGIN_INTERNAL_H
#define MCPBUS_MONITOR_LOGIN_INTERNAL_H

#include "libcommon/crypto.h"
#include "services/client_address.h"
#include "services/monitor/login_guess.h"
#include "services/monitor/login_page.h"
#include "services/monitor/login_ticket.h"
#include "libcommon/bus.h"
#include "libcommon/js.h"
#include "services/monitor/login.h"
#include "services/settings.h"

enum { LOGIN_PENDING_MAX = 64, LOGIN_COOKIE_SIZE = 2048 };

struct pending;

struct login {
    struct service *service;
    const struct settings *settings;
    struct proxies *proxies;
    struct login_keys keys;
    struct guesses *tokens; /* wrong tokens */
    struct guesses *visits; /* of the ways by Google, which cost auth and Google something */
    uint8_t mac_key[CRYPTO_KEY_BYTES]; /* to compare secrets of any length */
    uint8_t macs[2][CRYPTO_SHA256_BYTES];
    size_t mac_count;
    struct pending *pending; /* browsers that auth is asked about */
    size_t pending_count;
    int64_t said_at; /* loop_now; when a refusal may be logged again */
};

enum verdict { VERDICT_RIGHT, VERDICT_WRONG, VERDICT_LIMITED };

/* login.c */
/* The client as the limits count it, and whether it came by TLS. */
bool login_client(const struct login *login, const struct http_request *request,
                  char ret_network[CLIENT_ADDRESS_SIZE], char ret_address[CLIENT_ADDRESS_SIZE]);
/* A try with a token, counted and logged; VERDICT_LIMITED: in `*ret_wait_ms` it may try again. */
enum verdict login_try(struct login *login, const struct http_request *request, const char *secret,
                       int64_t *ret_wait_ms);
/* Of a page of ours: Origin, or where a browser doesn't tell it, Sec-Fetch-Site. */
bool login_comes_from_us(const struct login *login, const struct http_request *request);
/* The cookie of any of the keys, opened. */
bool login_open_cookie(const struct login *login, const struct http_request *request,
                       struct ticket *ret_ticket);
bool login_came_by_tls(const struct login *login, const struct http_request *request);
void login_answer_busy(struct http_request *request, int64_t wait_ms);

/* login_form.c: `page` is freed; a Set-Cookie's value, or NULL. */
void login_answer_page(struct http_request *request, int status, char *page, const char *cookie);
/* The Set-Cookie of who has just signed in, "token" or "google"; logged. */
void login_make_cookie(struct login *login, const struct http_request *request, const char *name,
                       const char *how, char ret_cookie[LOGIN_COOKIE_SIZE]);

/* login_google.c: gives up what is under way. */
void login_google_stop(struct login *login);

typedef void login_handler_fn(struct login *login, struct http_server *http,
                              struct http_request *request);
login_handler_fn login_show, login_submit, login_leave; /* login_form.c */
login_handler_fn login_google, login_return;            /* login_google.c */

#endif
