/* Who may call and serve what: decided by the certificate of the peer's key and the table of
 * proto/protocol.json, never by what a peer says of itself. Pure; any thread. */
#ifndef MCPBUS_BROKER_POLICY_H
#define MCPBUS_BROKER_POLICY_H

#include <stdbool.h>

#include "libcommon/bus_cert.h"

bool policy_may_call(const struct bus_cert *cert, const char *service, const char *method);
bool policy_may_serve(const struct bus_cert *cert, const char *service);
/* May it connect at all? */
bool policy_may_connect(const struct bus_cert *cert);

#endif
