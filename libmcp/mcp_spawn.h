/* Starts a tool server's process with three pipes, and ends it. */
#ifndef MCPBUS_MCP_SPAWN_H
#define MCPBUS_MCP_SPAWN_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "libcommon/err.h"
#include "libmcp/mcp_transport.h"

struct mcp_child {
    int pid_fd;       /* −1: reaped */
    int in, out, err; /* our ends of its standard streams, not blocking; −1: closed */
};

/* Starts `command` (searched in env's PATH) with `args` ([text]) and exactly `env` ({name: text}).
 * It dies with this process. ERR_UPSTREAM: it could not be started, and `ret_why` says why. */
MUST_CHECK enum err mcp_spawn(const char *command, const json_t *args, const json_t *env,
                              struct mcp_child *ret_child, char ret_why[MCP_WHY_SIZE_MAX]);
/* Has the process ended? Then it is reaped; others may have done so already. */
bool mcp_child_ended(struct mcp_child *child);
void mcp_child_signal(const struct mcp_child *child, int signo);

#endif
