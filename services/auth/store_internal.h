/* What the store*.c files share. */
#ifndef MCPBUS_AUTH_STORE_INTERNAL_H
#define MCPBUS_AUTH_STORE_INTERNAL_H

#include "libcommon/pg.h"
#include "services/auth/store.h"

struct store {
    struct pg *pg;
    struct pg_group *audit;
    struct audit_row *audit_rows; /* all that aren't written yet */
};

void store_audit_init(struct store *store);
void store_audit_fini(struct store *store);

/* audit_mark in SQL. */
#define STORE_MARK(user_id) \
    "'forgotten:' || left(encode(sha256(convert_to(" user_id ", 'UTF8')), 'hex'), 32)"

#endif
