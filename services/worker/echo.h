/* WORKER_RUNNER=echo: a run that is over at once, to measure the bus. */
#ifndef MCPBUS_WORKER_ECHO_H
#define MCPBUS_WORKER_ECHO_H

#include <jansson.h>

/* {outcome, result: "echo: MESSAGE", token_usage} */
json_t *echo_run(const char *message);

#endif
