/* The way from an MCP server that wants authorization to the authorization server that gives it
 * (MCP 2025-11-25 and 2026-07-28, "Authorization Server Discovery"): protected resource metadata,
 * then the authorization server's own. A server that has neither is one of 2025-03-26.
 *
 * Nothing here follows a redirect, sends a secret, or lets the server choose an address that only
 * we can reach: what leads away from its own origin must be https and public, unless the
 * configuration names it, or server and target are both on loopback. */
#ifndef MCPBUS_MCP_OAUTH_DISCOVER_H
#define MCPBUS_MCP_OAUTH_DISCOVER_H

#include <jansson.h>
#include <stdbool.h>

#include "libcommon/http_client.h"
#include "libmcp/mcp_oauth_metadata.h"

struct mcp_oauth_site {
    char *resource;   /* the server's name at the authorization server (RFC 8707) */
    json_t *document; /* its protected resource metadata; NULL: it has none */
    json_t *issuer;   /* the authorization server's metadata */
};
void mcp_oauth_site_fini(struct mcp_oauth_site *site);

struct mcp_oauth_discovery_options {
    struct http_client *http;
    const char *server_url;
    const char *metadata_url; /* from the challenge; NULL: the well-known places */
    const char *issuer;       /* the only one that the configuration allows; NULL: as it says */
    int64_t deadline;         /* clock_ms */
};

/* `site` is the callee's (mcp_oauth_site_fini); NULL: nothing was found, because of `why`. */
typedef void mcp_oauth_found_fn(void *arg, struct mcp_oauth_site *site, const char *why);

struct mcp_oauth_discovery;
/* Options are copied. `found` is called once, later, from the loop; the discovery is then over and
 * may be destroyed from within. */
struct mcp_oauth_discovery *
mcp_oauth_discovery_new(const struct mcp_oauth_discovery_options *options,
                        mcp_oauth_found_fn *found, void *arg);
void mcp_oauth_discovery_destroy(struct mcp_oauth_discovery **discovery_p); /* also ends it */

/* Must a request to `url` stay with public addresses? */
bool mcp_oauth_public_only(const char *server_url, const char *issuer, const char *url);

#endif
