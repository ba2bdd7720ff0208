/* A service opens its HTTP server. Loop's thread only. */
#ifndef MCPBUS_HTTP_LISTEN_H
#define MCPBUS_HTTP_LISTEN_H

#include "libcommon/http_server.h"

/* http_server_new, and a line in the log: where it listens, or why it can't, in the words of the
 * settings NAME_ADDRESS and NAME_PORT. Shares its port with other replicas on this machine. */
MUST_CHECK enum err http_listen(struct loop *loop, const char *name,
                                struct http_server_options options,
                                struct http_server **ret_server);

#endif
