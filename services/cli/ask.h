/* Asking the operator about the tool calls that a job waits with. */
#ifndef MCPBUS_CLI_ASK_H
#define MCPBUS_CLI_ASK_H

#include "services/cli/bus_session.h"

enum ask_end {
    ASK_DONE,        /* the job goes on by the operator's word, or by somebody else's */
    ASK_NOT_YET,     /* it waits with no calls now: asked too early, or too late */
    ASK_LATER,       /* it waits still: no answer was wanted now */
    ASK_INTERRUPTED, /* Ctrl-C */
};

/* Can anybody be asked? stdin and stderr are terminals. */
bool ask_is_possible(void);
/* Shows each call with its arguments on stderr and reads the answers; decides. `job`: {job_id,
 * user_id}. `interrupts`: those that are known. */
enum ask_end ask_about(struct bus_session *session, const json_t *job, int interrupts);

#endif
