/* What mcpbus backup-check asks a restored database, as SQL. */
#ifndef MCPBUS_CLI_BACKUP_CHECKS_H
#define MCPBUS_CLI_BACKUP_CHECKS_H

#include <stddef.h>

/* `sql` gives one text: "ok", "note" or "fault", a tab, and a sentence. */
struct backup_check {
    const char *name, *sql;
};

extern const struct backup_check backup_structure_checks[]; /* no other makes sense if one fails */
extern const size_t backup_structure_check_count;
extern const struct backup_check backup_checks[];
extern const size_t backup_check_count;

/* {key id: [sessions, a user, the field, one sealed value]}; "" stands for tokens that are not
 * encrypted. */
extern const char backup_tokens_sql[];
/* The time of the newest job, and how many were made ten seconds before that; of both databases. */
extern const char backup_newest_sql[], backup_count_sql[];
/* In the original since: jobs accepted ($1: the newest time here), log-outs ($2: the last number
 * here). */
extern const char backup_since_sql[];

#endif
