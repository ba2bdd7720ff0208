/* What runs have found out about their tool servers (tools, protocol era), for the runs after them:
 * so a run that calls no tool starts no server. Belongs to the worker's loop and lasts as long as
 * its configuration, with a bound of entries, bytes and age. A server whose list may depend on the
 * user has a key for each of them, or an entry for each when it says itself that it does. */
#ifndef MCPBUS_WORKER_TOOL_MEMORY_H
#define MCPBUS_WORKER_TOOL_MEMORY_H

#include <jansson.h>
#include <stdint.h>

enum {
    TOOL_MEMORY_ENTRIES_MAX = 1024,
    TOOL_MEMORY_ENTRY_MAX = 1 << 20, /* bytes of JSON */
    TOOL_MEMORY_BYTES_MAX = 32 << 20,
    TOOL_MEMORY_KNOWN_MAX = 3 << 20, /* for one run, whose frame has to hold it */
    TOOL_MEMORY_AGE_MS = 600000,
};

struct tool_memory;
struct tool_memory *tool_memory_new(void);
void tool_memory_destroy(struct tool_memory **memory_p);

/* Remembers a run's "remember" frame for the key that its server had. What is too large, or no list
 * at all, is forgotten instead. `now`: clock_ms. */
void tool_memory_put(struct tool_memory *memory, const char *key, const char *user_id,
                     const json_t *frame, int64_t now);
/* What is known of `servers` (mcp_config_servers): {name: {era, tools, …, stale?}}. A list that is
 * older than its server wished is still offered, but seen to when the server has to start. */
json_t *tool_memory_known(struct tool_memory *memory, const json_t *servers, const char *user_id,
                          int64_t now);

#endif
