/* The audit log: a log line and a row of audit_log for each event, by the same id. The row is
 * written behind the answer and may be lost with the process; the line is out by then. Nothing
 * secret: no token, no code, no name or email address. */
#ifndef MCPBUS_AUTH_AUDIT_H
#define MCPBUS_AUTH_AUDIT_H

#include <jansson.h>

#include "services/auth/auth.h"

struct audit {
    const char *event;   /* "signed_in": docs/audit.md */
    const char *user_id; /* NULL: unknown */
    const json_t *args;  /* of the call: `client`, `request_id`, `job_id`; may be NULL */
    const json_t *scopes;
    const char *why; /* refused, and why; NULL: it was done */
    bool line_only;  /* strangers may cause as many of these as they like: no row */
};

void audit(struct auth *auth, const struct audit *audit);

/* What stands for a user who was forgotten: a digest of the id. */
enum { AUDIT_MARK_SIZE = 48 };
void audit_mark(const char *user_id, char ret_mark[AUDIT_MARK_SIZE]);

#endif
