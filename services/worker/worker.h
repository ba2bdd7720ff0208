/* The worker service: its parts, put together. */
#ifndef MCPBUS_WORKER_WORKER_H
#define MCPBUS_WORKER_WORKER_H

#include "libcommon/service.h"

enum err worker_early(struct service *service);
enum err worker_start(struct service *service);
void worker_drain(struct service *service);
bool worker_drained(struct service *service);
const char *worker_problem(struct service *service);
void worker_stop(struct service *service);

void worker_on_run(void *service, struct bus_call *call, json_t *args);
void worker_on_cancel(void *service, struct bus_call *call, json_t *args);
void worker_on_drain(void *service, struct bus_call *call, json_t *args);
void worker_on_watch(void *service, struct bus_call *call, json_t *args);

enum { WORKER_DRAIN_MS = 9000 };

#endif
