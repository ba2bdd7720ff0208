/* Who may enter the monitor: MONITOR_TOKEN (as a Bearer token, as the password of Basic, typed into
 * the sign-in page), or a Google account that MONITOR_ADMINS names. A browser that has signed in
 * has a sealed cookie of 12 hours that every replica reads; a changed token ends it. Wrong tokens
 * are counted, for each address and in all. Loop's thread only. */
#ifndef MCPBUS_MONITOR_LOGIN_H
#define MCPBUS_MONITOR_LOGIN_H

#include <stdbool.h>

#include "libcommon/err.h"
#include "libcommon/http_server.h"
#include "libcommon/service.h"

struct login;

/* Begins. ERR_INVALID, said on stderr: neither setting is there, or one of them can't be used. The
 * service's settings and bus outlive it. */
MUST_CHECK enum err login_start(struct service *service, struct login **ret_login);
/* Calls under way are given up. Before the HTTP server goes. */
void login_destroy(struct login **login_p);

/* Answers the sign-in's own addresses, now or later: GET and POST /login, POST /logout, GET
 * /login/google, GET /auth/callback, GET /api/session. False: it is none of these. Call it first,
 * once the body is there: these are open to strangers. */
bool login_serves(struct login *login, struct http_server *http, struct http_request *request);

enum { LOGIN_NAME_SIZE = 256 };
struct login_identity {
    char name[LOGIN_NAME_SIZE]; /* for the log and the audit: "token", or the account's address */
    const char *how;            /* "token", "basic", "google" */
    bool by_cookie;
};

/* May this request go on? False: it has been answered: 401 (a page that a browser asks for: sent to
 * /login), 403 (a request that another site made a browser send), 429 (too many wrong tokens).
 * `ret_who` may be NULL. Before the body or behind it, as you like; every answer but /metrics,
 * /healthcheck and the assets needs it. */
bool login_allows(struct login *login, struct http_request *request,
                  struct login_identity *ret_who);

/* For http_server_options.decorate: the headers that every answer has (policy for what pages may
 * load, no framing, no sniffing, no referrer to others, no-store unless the answer says otherwise,
 * HSTS where the client came by TLS). `login` may be NULL. */
void login_decorate(const struct login *login, const struct http_request *request,
                    struct http_response *response);

#endif
