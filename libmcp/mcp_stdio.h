/* A tool server's process and its three pipes, without blocking: for the run's poll loop. */
#ifndef MCPBUS_MCP_STDIO_H
#define MCPBUS_MCP_STDIO_H

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "libcommon/err.h"

enum { MCP_STDIO_FDS = 3, MCP_STDIO_WHY_SIZE = 200 };

struct mcp_stdio;

/* Starts `command` (searched in env's PATH) with `args` ([text]) and exactly `env` ({name: text}).
 * It dies with this process. `name` is for the log. ERR_UPSTREAM: it could not be started, and
 * `ret_why` says why. */
MUST_CHECK enum err mcp_stdio_start(const char *name, const char *command, const json_t *args,
                                    const json_t *env, struct mcp_stdio **ret_stdio,
                                    char ret_why[MCP_STDIO_WHY_SIZE]);
/* Closes the pipes; the process must have been stopped. */
void mcp_stdio_destroy(struct mcp_stdio **stdio_p);

/* Queues one message (borrowed) as a line. ERR_TOO_LARGE: the server does not read. */
MUST_CHECK enum err mcp_stdio_send(struct mcp_stdio *stdio, const json_t *message);

/* What to poll (MCP_STDIO_FDS entries), and what to do then. */
void mcp_stdio_poll_fds(const struct mcp_stdio *stdio, struct pollfd *ret_fds);
void mcp_stdio_ready(struct mcp_stdio *stdio, const struct pollfd *fds);
/* The next whole line, valid until the next call; false: none now. */
bool mcp_stdio_line(struct mcp_stdio *stdio, const char **ret_line, size_t *ret_len);
/* Its output has ended, or it broke a limit. Lines may still be there. */
bool mcp_stdio_ended(const struct mcp_stdio *stdio);

/* Reaps every child of this process that has ended, what servers have orphaned included. */
void mcp_stdio_reap(struct mcp_stdio *const *stdios, size_t count);
/* Ends all: closes their input, waits 300 ms, SIGTERM, as long again, SIGKILL; reaps them. */
void mcp_stdio_stop(struct mcp_stdio *const *stdios, size_t count);

#endif
