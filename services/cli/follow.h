/* Following a job to its end by its events, and showing how it ended. */
#ifndef MCPBUS_CLI_FOLLOW_H
#define MCPBUS_CLI_FOLLOW_H

#include "services/cli/bus_session.h"
#include "services/cli/output.h"

enum follow_end { FOLLOW_ENDED, FOLLOW_TIMEOUT, FOLLOW_INTERRUPTED, FOLLOW_LOST };

struct follow {
    struct bus_session *session;
    const json_t *job;  /* {job_id, user_id} */
    FILE *events;       /* where they are printed; NULL: nowhere */
    bool json;          /* each as a line of JSON */
    bool ask;           /* the operator is asked about calls that wait, on a terminal */
    int64_t after;      /* the number of the last event seen */
    int64_t timeout_ms; /* from now on; 0: none */
    int64_t began;      /* 0; then the time of the first event */
};

/* One look: prints the events behind `after`, and moves it on. */
enum mcpbus_status follow_look(struct follow *follow, bool *ret_ended);
/* Until the job ends; progress on a terminal. FOLLOW_LOST: session_error says why. */
enum follow_end follow_job(struct follow *follow);

/* Follows, then prints the result (`json`: the whole job) on stdout; the exit status. A first
 * Ctrl-C leaves the job as it is, a second one cancels it. */
int follow_to_result(struct follow *follow, bool json);
/* The job as jobs.get gives it; an exit status. */
int follow_print_result(const json_t *job, bool json);

#endif
