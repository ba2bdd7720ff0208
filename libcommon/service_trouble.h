/* What keeps a service from its work is told in its log: once it has lasted, once more when it is
 * another, and that it has passed. Loop's thread only. */
#ifndef MCPBUS_SERVICE_TROUBLE_H
#define MCPBUS_SERVICE_TROUBLE_H

#include <stdbool.h>

#include "libcommon/loop.h"

struct service_trouble;

/* `find` writes the reason, in words that say what to do, into `ret_why`; false: there is none. */
enum { SERVICE_TROUBLE_SIZE = 512 };
typedef bool service_trouble_fn(void *arg, char ret_why[SERVICE_TROUBLE_SIZE]);
struct service_trouble *service_trouble_new(struct loop *loop, service_trouble_fn *find, void *arg);
void service_trouble_destroy(struct service_trouble **trouble_p);

#endif
