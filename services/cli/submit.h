/* Submitting a job for a user, by the bus. */
#ifndef MCPBUS_CLI_SUBMIT_H
#define MCPBUS_CLI_SUBMIT_H

#include "services/cli/bus_session.h"

struct submit {
    const char *user_id, *message;
    const json_t *options;       /* an object; NULL: none */
    const char *conversation_id; /* NULL: none */
    const char *callback_url;    /* told of its end; NULL: none */
    const char *key;             /* of idempotency; NULL: none */
};

/* {job_id, user_id} of the job, which is committed then; an exit status, said on stderr. */
int submit_job(struct bus_session *session, const struct submit *submit, json_t **ret_job);

/* Follows it and prints the result, or with --no-wait its id, by the options of a command that has
 * --no-wait, --json and --timeout. On a terminal the operator is asked about calls that wait. */
struct args;
int submit_follow(struct bus_session *session, const struct args *args, const json_t *job);

#endif
