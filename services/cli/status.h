/* What mcpbus status has found, and how it is shown. */
#ifndef MCPBUS_CLI_STATUS_H
#define MCPBUS_CLI_STATUS_H

#include <jansson.h>

#include "services/cli/bus_session.h"

struct status {
    const struct bus_settings *settings;
    struct bus_session *session; /* NULL: no broker */
    json_t *brokers, *replicas, *jobs, *workers, *problems;
    int64_t until;  /* no replica is asked any more */
    size_t unasked; /* that it did not reach */
};

/* On stdout, for people; `heading` is the first line, NULL: none. */
void status_print(const struct status *status, const char *heading);

#endif
