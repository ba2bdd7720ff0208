/* What operators do. Loop's thread. */
#ifndef MCPBUS_MONITOR_OPERATE_H
#define MCPBUS_MONITOR_OPERATE_H

#include "services/monitor/monitor.h"

/* Cancels the job that the route's parameter names, logs it, and lets `answer` answer with the job;
 * what fails has been answered. */
void operate_cancel(struct call *call, call_result_fn *answer);

#endif
