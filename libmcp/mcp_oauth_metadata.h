/* The documents that lead an OAuth client from an MCP server to its authorization server: where
 * they lie and what in them may be believed (RFC 9728, RFC 8414, OpenID Connect Discovery 1.0).
 * Pure. Whoever answers for the MCP server or the authorization server may be an attacker. */
#ifndef MCPBUS_MCP_OAUTH_METADATA_H
#define MCPBUS_MCP_OAUTH_METADATA_H

#include <jansson.h>
#include <stdbool.h>

#include "libcommon/err.h"

enum { MCP_OAUTH_URLS = 3, MCP_OAUTH_WHY_SIZE = 240, MCP_OAUTH_DOCUMENT_MAX = 256 << 10 };

/* Where to look for the metadata of the server at `server_url`: below its path, then at the root.
 * How many; free() each. 0: not a URL. */
int mcp_oauth_resource_urls(const char *server_url, char *ret_urls[MCP_OAUTH_URLS]);
/* Where to look for the metadata of `issuer`, in the order of the MCP specification. */
int mcp_oauth_issuer_urls(const char *issuer, char *ret_urls[MCP_OAUTH_URLS]);

/* May a client that talks to `server_url` use `url` (of metadata, an issuer, an endpoint)? https
 * alone, without a fragment; http only where both are on loopback. */
bool mcp_oauth_url_is_safe(const char *server_url, const char *url);
/* Have both the same scheme, host and port? */
bool mcp_oauth_same_origin(const char *a, const char *b);

/* Reads protected resource metadata. ERR_INVALID: it is no such document, or not one of this
 * server: its `resource` must be the server's URL or a whole segment above it. */
MUST_CHECK enum err mcp_oauth_read_resource(const char *text, size_t len, const char *server_url,
                                            json_t **ret_document, char *ret_why);
/* Reads an authorization server's metadata. ERR_INVALID: it is none, names an issuer other than
 * `issuer` (compared as text, RFC 8414 §3.3), or unsafe endpoints. */
MUST_CHECK enum err mcp_oauth_read_issuer(const char *text, size_t len, const char *issuer,
                                          const char *server_url, json_t **ret_document,
                                          char *ret_why);
/* What a server of 2025-03-26 has when it publishes nothing: endpoints at its root. */
json_t *mcp_oauth_default_issuer(const char *server_url);

/* Has the array `key` of `document` the text `value`? False when there is no such array. */
bool mcp_oauth_lists(const json_t *document, const char *key, const char *value);
/* The texts of the array `key` as a set of scopes; free() it; NULL when there are none. */
char *mcp_oauth_scopes(const json_t *document, const char *key);

#endif
