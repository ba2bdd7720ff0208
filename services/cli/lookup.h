/* Whom and what operators name: a user by id or address, a job by its id. */
#ifndef MCPBUS_CLI_LOOKUP_H
#define MCPBUS_CLI_LOOKUP_H

#include "services/cli/bus_session.h"

/* A user's id, or the id of the one who has signed in with this address; free() it. An enum
 * cli_status: not CLI_OK, said on stderr. */
int lookup_user(struct bus_session *session, const char *id_or_email, char **ret_user_id);

/* What jobs.find tells of a job; the caller's. With `user` (may be NULL) it must be that user's. */
int lookup_job(struct bus_session *session, const char *job_id, const char *user, json_t **ret_job);

/* {job_id, user_id} for a method of that user's. */
json_t *lookup_args(const json_t *job);

#endif
