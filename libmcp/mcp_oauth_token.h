/* One request to a token endpoint and its answer (RFC 6749 §3.2, RFC 8707, RFC 7523, RFC 9449).
 * No I/O. What these hold is secret: it goes into a request's headers and body only. */
#ifndef MCPBUS_MCP_OAUTH_TOKEN_H
#define MCPBUS_MCP_OAUTH_TOKEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "libcommon/crypto_key.h"
#include "libcommon/err.h"
#include "libmcp/mcp_oauth_metadata.h"

/* Who we are to an authorization server. */
struct mcp_oauth_client {
    char *id;
    char *secret;           /* NULL: none */
    char *method;           /* how to say so at the token endpoint; NULL: as its metadata allows */
    struct crypto_key *key; /* of private_key_jwt; NULL: none */
};
void mcp_oauth_client_fini(struct mcp_oauth_client *client);

enum { MCP_TOKEN_HEADERS = 5, MCP_TOKEN_FIELDS = 12 };

struct mcp_token_request {
    char *headers[MCP_TOKEN_HEADERS]; /* "Name: value", NULL-terminated */
    char *body;
};

/* `site`: the authorization server's metadata. `fields`: name, value pairs of the grant, NULL-
 * terminated; a pair whose value is NULL is left out. `dpop_key`: asks for a token that is bound to
 * it, with `nonce` (may be NULL) from the server; else NULL. ERR_DENIED: nothing that we hold is
 * what the server wants, `ret_why` says so. Call mcp_token_request_fini on the result. */
MUST_CHECK enum err mcp_token_request_make(const json_t *site,
                                           const struct mcp_oauth_client *client,
                                           const char *const *fields, struct crypto_key *dpop_key,
                                           const char *nonce, struct mcp_token_request *ret_request,
                                           char *ret_why);
void mcp_token_request_fini(struct mcp_token_request *request);

struct mcp_tokens {
    char *access;     /* NULL: none yet */
    char *refresh;    /* NULL: none */
    char *scope;      /* that the server says it granted; NULL: what was asked for */
    bool dpop;        /* bound to our key: "DPoP", not "Bearer" */
    int64_t renew_at; /* clock_ms: time for another, a little before its end; 0: not said */
};

/* Reads the answer of a token endpoint. ERR_UPSTREAM: it refused, or answers nonsense; `ret_why`
 * says which, with no more of its words than an error code. ret_code (may be NULL, 48 bytes) gets
 * that code, "" when there is none. */
MUST_CHECK enum err mcp_tokens_read(int status, const char *body, size_t len, int64_t now,
                                    struct mcp_tokens *ret_tokens, char *ret_why, char *ret_code);
enum { MCP_OAUTH_CODE_SIZE = 48 };
void mcp_tokens_fini(struct mcp_tokens *tokens);

/* A DPoP proof (RFC 9449 §4.2) for a request; `nonce` and `access_token` may be NULL. free() it;
 * NULL when it could not be made. */
char *mcp_dpop_proof(struct crypto_key *key, const char *method, const char *url, const char *nonce,
                     const char *access_token);

#endif
