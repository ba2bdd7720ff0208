#include "services/worker/tool_memory.h"

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/map.h"
#include "libcommon/mem.h"

struct entry {
    char *key;
    json_t *known;
    size_t bytes;
    int64_t until, used_at;
    int64_t fresh_until; /* as the server said */
};

struct tool_memory {
    struct map *by_key;
    size_t bytes;
};

struct tool_memory *tool_memory_new(void)
{
    struct tool_memory *memory = mem_alloc(sizeof *memory);
    memory->by_key = map_new();
    return memory;
}

static void drop(struct tool_memory *memory, struct entry *entry)
{
    if (!entry)
        return;
    map_take(memory->by_key, entry->key, strlen(entry->key));
    memory->bytes -= entry->bytes;
    json_decref(entry->known);
    free(entry->key);
    free(entry);
}

void tool_memory_destroy(struct tool_memory **memory_p)
{
    struct tool_memory *memory = *memory_p;
    if (!memory)
        return;
    *memory_p = NULL;
    size_t at = 0;
    for (struct entry *entry; (entry = map_next(memory->by_key, &at));)
        drop(memory, entry);
    map_destroy(&memory->by_key);
    free(memory);
}

static struct entry *find(const struct tool_memory *memory, const char *key)
{
    return map_get(memory->by_key, key, strlen(key));
}

/* A walk over a thousand entries, once for each list beyond that. */
static struct entry *least_used(const struct tool_memory *memory)
{
    size_t at = 0;
    struct entry *least = NULL;
    for (struct entry *entry; (entry = map_next(memory->by_key, &at));)
        if (!least || entry->used_at < least->used_at)
            least = entry;
    return least;
}

/* The key of what a server says is for one user alone. */
static char *private_key(const char *key, const char *user_id)
{
    return mem_printf("%s\n%s", key, user_id);
}

static json_t *copy_known(const json_t *frame)
{
    static const char *const members[] = {"era", "tools", "resources", "changes", "instructions"};
    json_t *known = json_object();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *value = json_object_get(frame, members[i]);
        if (value)
            json_object_set(known, members[i], value);
    }
    return known;
}

static void add(struct tool_memory *memory, const char *key, const json_t *frame, int64_t now)
{
    int64_t fresh = js_int(frame, "ttl_ms", TOOL_MEMORY_AGE_MS);
    struct entry *entry = mem_alloc(sizeof *entry);
    entry->key = mem_strdup(key);
    entry->known = copy_known(frame);
    entry->bytes = js_dump_size(entry->known);
    entry->until = now + TOOL_MEMORY_AGE_MS;
    entry->fresh_until = now + fresh;
    entry->used_at = now;
    while (map_count(memory->by_key) && (map_count(memory->by_key) >= TOOL_MEMORY_ENTRIES_MAX ||
                                         memory->bytes + entry->bytes > TOOL_MEMORY_BYTES_MAX))
        drop(memory, least_used(memory));
    map_put(memory->by_key, key, strlen(key), entry);
    memory->bytes += entry->bytes;
}

void tool_memory_put(struct tool_memory *memory, const char *key, const char *user_id,
                     const json_t *frame, int64_t now)
{
    AUTOFREE char *own = private_key(key, user_id);
    drop(memory, find(memory, key));
    drop(memory, find(memory, own));
    if (json_is_array(json_object_get(frame, "tools")) &&
        js_dump_size(frame) <= TOOL_MEMORY_ENTRY_MAX)
        add(memory, js_bool(frame, "private", false) ? own : key, frame, now);
}

static struct entry *find_fresh(struct tool_memory *memory, const char *key, int64_t now)
{
    struct entry *entry = find(memory, key);
    if (entry && now >= entry->until) {
        drop(memory, entry);
        return NULL;
    }
    if (entry)
        entry->used_at = now;
    return entry;
}

json_t *tool_memory_known(struct tool_memory *memory, const json_t *servers, const char *user_id,
                          int64_t now)
{
    json_t *all = json_object(), *server;
    size_t index, bytes = 0;
    json_array_foreach(servers, index, server)
    {
        const char *key = js_str(server, "key", NULL);
        if (!key)
            continue;
        AUTOFREE char *own = private_key(key, user_id);
        const struct entry *entry = find_fresh(memory, own, now);
        if (!entry)
            entry = find_fresh(memory, key, now);
        if (!entry || bytes + entry->bytes > TOOL_MEMORY_KNOWN_MAX)
            continue;
        bytes += entry->bytes;
        json_t *known = json_copy(entry->known);
        if (now >= entry->fresh_until)
            json_object_set_new(known, "stale", json_true());
        json_object_set_new(all, js_str(server, "name", ""), known);
    }
    return all;
}
