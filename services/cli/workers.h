/* The workers as jobs knows them: listed, and found by a name. */
#ifndef MCPBUS_CLI_WORKERS_H
#define MCPBUS_CLI_WORKERS_H

#include "services/cli/bus_session.h"

/* The array of jobs.workers, the caller's; an exit status, said on stderr. */
int workers_get(struct bus_session *session, json_t **ret_workers);
void workers_print(const json_t *workers);
/* Those that a name means: all of a host, or the one whose instance or session begins with it. An
 * array, the caller's; an exit status, said on stderr. */
int workers_find(const struct bus_session *session, const json_t *workers, const char *name,
                 json_t **ret_found);

#endif
