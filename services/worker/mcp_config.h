/* The MCP servers of a worker: the {"mcpServers": {…}} file, or mcpbus-google alone. ${NAME} is
 * filled in from the worker's environment when it is read, ${user.…} when a run starts. */
#ifndef MCPBUS_WORKER_MCP_CONFIG_H
#define MCPBUS_WORKER_MCP_CONFIG_H

#include <jansson.h>
#include <stdbool.h>

#include "libcommon/err.h"
#include "libmcp/mcp_pool.h"

enum { MCP_WHY_SIZE = 256 };

/* What ${user.…} may name, in this order in `struct mcp_user`. */
#define MCP_USER_FIELDS(X)      \
    X(google_access_token)      \
    X(google_refresh_token)     \
    X(google_token_expires_at)  \
    X(google_authorized_scopes) \
    X(email)                    \
    X(id)

struct mcp_user {
#define X(field) const char *field;
    MCP_USER_FIELDS(X)
#undef X
};

/* The value of ${NAME}; NULL when unknown. */
typedef const char *mcp_lookup_fn(void *arg, const char *name);

struct mcp_config;
/* ERR_INVALID: `ret_why` has a line for the person who wrote the file. */
MUST_CHECK enum err mcp_config_parse(const char *text, size_t len, mcp_lookup_fn *lookup, void *arg,
                                     struct mcp_config **ret_config, char ret_why[MCP_WHY_SIZE]);
void mcp_config_destroy(struct mcp_config **config_p);
/* The text of the default configuration with the program at `command`; free() it. `more`: the names
 * of settings that it gets besides, ended by NULL. */
char *mcp_config_default(const char *command, const char *const *more);

size_t mcp_config_count(const struct mcp_config *config);
/* Does any server want what only a Google sign-in gives (all fields but `id`)? */
bool mcp_config_needs_google(const struct mcp_config *config);

/* The servers as a run gets them: [{name, key, command, args, env}, {name, key, url, headers,
 * auth?} or {name, unavailable}]. `user` may lack all but `id`: servers that need more are then
 * unavailable because `why_no_google`. `key`: servers with the same one have the same tools (see
 * tool_memory.h). Every server's env begins with PATH, HOME, LANG and TMPDIR, from
 * `lookup`. */
json_t *mcp_config_servers(const struct mcp_config *config, const struct mcp_user *user,
                           const char *why_no_google, mcp_lookup_fn *lookup, void *arg);
/* Names of the environment that its servers get, without values: [name, …]. */
json_t *mcp_config_env_names(const struct mcp_config *config);

#endif
