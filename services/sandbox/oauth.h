/* The OAuth server: what an authorization request asks for, and the sealed texts that carry its
 * state from the page to the code to the tokens, so that nothing has to be kept for strangers. */
#ifndef MCPBUS_SANDBOX_OAUTH_H
#define MCPBUS_SANDBOX_OAUTH_H

#include "services/sandbox/sandbox.h"
#include "services/sandbox/scopes.h"

enum {
    OAUTH_CODE_MS = 60000,
    OAUTH_FORM_MS = 3600000,
    OAUTH_STATE_MAX = 4096,
    OAUTH_CLIENT_MAX = 256,
};

/* Texts are borrowed. */
struct auth_request {
    const char *client, *redirect, *state, *challenge; /* state and challenge may be NULL */
    const char *hint;                                  /* the email to propose; may be NULL */
    uint32_t scopes;
    bool offline; /* access_type=offline */
    bool consent; /* prompt=consent */
    bool include; /* include_granted_scopes=true */
};

/* Does the verifier belong to the S256 challenge (RFC 7636 §4.6)? False also when it is malformed.
 */
bool pkce_matches(const char *challenge, const char *verifier);

/* A sealed JSON object of this kind ("code", …) that expires at `expires_ms`; consumes `claims`.
 * free() the text. */
char *ticket_seal(const uint8_t key[32], const char *kind, json_t *claims, int64_t expires_ms);
/* The object, the caller's; NULL: not one of ours, of another kind, or expired. */
json_t *ticket_open(const uint8_t key[32], const char *kind, const char *text, int64_t now_ms);

/* Is this client known? Is this its secret? */
bool oauth_client_known(const struct sandbox_options *options, const char *client);
bool oauth_client_proves(const struct sandbox_options *options, const char *client,
                         const char *secret);

/* Pages. `form` is the sealed request. */
void page_consent(struct call *call, const struct auth_request *request, const char *form);
void page_error(struct call *call, int status, const char *error, const char *description);

#endif
