/* The grants that need a person or an identity provider, for this program alone: a worker has
 * neither. The person's browser is played by following the authorization server's redirect. */
#ifndef MCPBUS_CONFORMANCE_SIGN_IN_H
#define MCPBUS_CONFORMANCE_SIGN_IN_H

#include <jansson.h>

#include "libmcp/mcp_oauth.h"

struct sign_in;

/* `context` (borrowed; may be NULL) is what the conformance suite tells a client beforehand:
 * {client_id, client_secret?, issuer?}: registered with that authorization server;
 * {…, idp_id_token, idp_client_id, idp_token_endpoint}: cross-app access by way of the identity
 * provider (SEP-990); {client_id, valid_jwt}: a workload's own assertion (RFC 7523). */
struct sign_in *sign_in_new(struct http_client *http, const char *server_url,
                            const json_t *context);
void sign_in_destroy(struct sign_in **sign_in_p); /* behind the oauth that uses it */

struct mcp_oauth_grant sign_in_grant(struct sign_in *sign_in);

#endif
