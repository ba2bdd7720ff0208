/* SERVICE.about, which the runtime serves for every service: what this replica is and how it does,
 * for operators. Loop's thread. */
#ifndef MCPBUS_SERVICE_ABOUT_H
#define MCPBUS_SERVICE_ABOUT_H

#include "libcommon/service.h"

/* The service's methods and this one behind them; free() it. */
struct bus_method *service_about_methods(const struct service_def *def);

#endif
