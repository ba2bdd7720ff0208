/* OAuth 2.1 for one MCP server over HTTP, for as long as a run lasts (MCP "Authorization",
 * 2025-03-26 to 2026-07-28): finds the server's authorization server when the server first demands
 * authorization, gets a token for that server alone (RFC 8707), puts it on every request, renews
 * it, and asks for more scopes when the server says that they are missing. How a token is got is
 * the grant's business: client credentials (SEP-1046) are built in.
 *
 * Tokens and secrets are in memory only; no error text has any. Everything is bounded: the requests
 * of one round, the rounds of one run. Credentials go to the first authorization server that the
 * MCP server names, or to the one that the configuration names, and never to another. */
#ifndef MCPBUS_MCP_OAUTH_H
#define MCPBUS_MCP_OAUTH_H

#include <jansson.h>

#include "libcommon/loop.h"
#include "libmcp/mcp_http.h"
#include "libmcp/mcp_oauth_discover.h"
#include "libmcp/mcp_oauth_token.h"

struct mcp_oauth;

/* Gets a token at `site` with `scope` (NULL: none asked for); all borrowed for the call, the site
 * until the grant has ended. It ends in mcp_oauth_ask_token or mcp_oauth_give_up, now or later. */
struct mcp_oauth_grant {
    void (*start)(void *arg, struct mcp_oauth *oauth, const struct mcp_oauth_site *site,
                  const char *scope);
    void (*cancel)(void *arg); /* the oauth is going away while the grant is at work */
    void *arg;
};

struct mcp_oauth_options {
    struct loop *loop;
    struct http_client *http;
    const char *server_url;
    /* The entry "auth" of the server's configuration: {"type": "client_credentials", "client_id",
     * "client_secret" or "private_key" (PEM), "scope"?, "issuer"?, "token_url"?}; borrowed for the
     * call. NULL: `grant` is used. */
    const json_t *auth;
    const struct mcp_oauth_grant *grant; /* copied; its arg outlives the oauth */
};

/* Is that a usable "auth" of a server at `server_url`? ERR_INVALID: `ret_why` has a line for the
 * person who wrote it. */
MUST_CHECK enum err mcp_oauth_check(const json_t *auth, const char *server_url,
                                    char ret_why[MCP_OAUTH_WHY_SIZE]);

/* ERR_INVALID: as mcp_oauth_check. */
MUST_CHECK enum err mcp_oauth_new(const struct mcp_oauth_options *options,
                                  struct mcp_oauth **ret_oauth, char ret_why[MCP_OAUTH_WHY_SIZE]);
void mcp_oauth_destroy(struct mcp_oauth **oauth_p);

/* What mcp_http_set_auth takes; it is the oauth's. */
const struct mcp_http_auth *mcp_oauth_http_auth(struct mcp_oauth *oauth);

/* The end of a grant: asks the site's token endpoint as `client` (borrowed, outlives the oauth),
 * with the grant's `fields` (name, value pairs, NULL-terminated; a NULL value leaves one out;
 * "resource" is added). */
void mcp_oauth_ask_token(struct mcp_oauth *oauth, const struct mcp_oauth_client *client,
                         const char *const *fields);
/* Or there is no token to be had. */
void mcp_oauth_give_up(struct mcp_oauth *oauth, const char *why);

#endif
