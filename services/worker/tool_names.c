#include "services/worker/tool_names.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/map.h"
#include "libcommon/mem.h"

struct tool_names {
    struct tool *tools[TOOLS_MAX];
    size_t count;
    struct map *by_name;
};

struct tool_names *tool_names_new(void)
{
    struct tool_names *names = mem_alloc(sizeof *names);
    names->by_name = map_new();
    return names;
}

void tool_names_destroy(struct tool_names **names_p)
{
    struct tool_names *names = *names_p;
    if (!names)
        return;
    *names_p = NULL;
    for (size_t i = 0; i < names->count; i++) {
        free(names->tools[i]->server_tool);
        free(names->tools[i]);
    }
    map_destroy(&names->by_name);
    free(names);
}

static void replace_others(char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    for (char *c = name + strspn(name, allowed); *c; c += strspn(c, allowed))
        *c = '_';
}

const struct tool *tool_names_add(struct tool_names *names, int server, const char *server_name,
                                  const char *tool_name, const json_t *annotations)
{
    if (names->count == TOOLS_MAX)
        return NULL;
    AUTOFREE char *full = mem_printf("%.64s__%.128s", server_name, tool_name);
    replace_others(full);
    struct tool *tool = mem_alloc(sizeof *tool);
    snprintf(tool->name, sizeof tool->name, "%.64s", full);
    for (unsigned n = 2; tool_names_find(names, tool->name); n++) {
        char suffix[12];
        int len = snprintf(suffix, sizeof suffix, "_%u", n);
        snprintf(tool->name, sizeof tool->name, "%.*s%s", TOOL_NAME_MAX - len, full, suffix);
    }
    tool->server = server;
    bool read_only = js_bool(annotations, "readOnlyHint", false);
    tool->repeatable = read_only || js_bool(annotations, "idempotentHint", false);
    tool->destructive = !read_only && js_bool(annotations, "destructiveHint", false);
    tool->server_tool = mem_strdup(tool_name);
    names->tools[names->count++] = tool;
    map_put(names->by_name, tool->name, strlen(tool->name), tool);
    return tool;
}

const struct tool *tool_names_find(const struct tool_names *names, const char *name)
{
    size_t len = strlen(name);
    return len <= TOOL_NAME_MAX ? map_get(names->by_name, name, len) : NULL;
}

size_t tool_names_count(const struct tool_names *names)
{
    return names->count;
}
