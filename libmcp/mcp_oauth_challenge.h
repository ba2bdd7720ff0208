/* What a WWW-Authenticate field says to an OAuth client (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728
 * §5.1, RFC 9449 §7.1). Pure. */
#ifndef MCPBUS_MCP_OAUTH_CHALLENGE_H
#define MCPBUS_MCP_OAUTH_CHALLENGE_H

#include <stdbool.h>

#include "libcommon/err.h"

enum { MCP_CHALLENGE_MAX = 8192 };

struct mcp_challenge {
    bool dpop;               /* the scheme is DPoP; else Bearer */
    char *resource_metadata; /* all NULL when absent */
    char *scope;
    char *error;
};

/* The first Bearer or DPoP challenge of the field. ERR_NOT_FOUND: it has none, or is no such field
 * from there on; ERR_TOO_LARGE: longer than MCP_CHALLENGE_MAX. A scope with characters that it
 * can't have (RFC 6749 §3.3) counts as absent. Call mcp_challenge_fini on the result. */
MUST_CHECK enum err mcp_challenge_parse(const char *field, struct mcp_challenge *ret_challenge);
void mcp_challenge_fini(struct mcp_challenge *challenge);

/* Sets of scopes, as texts with a space between each two. */

/* NQCHARs with single spaces between them, and something at all? */
bool mcp_scope_is_valid(const char *scope);
/* All of `a`, then what `b` has beyond it; NULL counts as empty. free() it; NULL when empty. */
char *mcp_scope_union(const char *a, const char *b);
/* Is all of `part` (NULL: nothing) in `whole`? */
bool mcp_scope_covers(const char *whole, const char *part);

#endif
