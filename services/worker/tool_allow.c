#include "services/worker/tool_allow.h"

#include <ctype.h>
#include <string.h>

static bool is_server(const char *entry, const char *server)
{
    return strcmp(entry, server) == 0;
}

/* Does the entry begin with the server's name? The model sees '_' for what its names can't hold. */
static bool begins_with(const char *entry, const char *server)
{
    for (; *server; server++, entry++) {
        unsigned char c = (unsigned char)*server;
        bool legal = isalnum(c) || c == '_' || c == '-';
        if (*entry != *server && (legal || *entry != '_'))
            return false;
    }
    return strncmp(entry, "__", 2) == 0;
}

static bool is_tool(const char *entry, const char *server, const char *server_tool,
                    const char *name)
{
    size_t len = strlen(server);
    return strcmp(entry, name) == 0 ||
           (begins_with(entry, server) && strcmp(entry + len + 2, server_tool) == 0);
}

bool tool_allow(const json_t *allow, const char *server, const char *server_tool, const char *name)
{
    size_t index;
    const json_t *entry;
    if (!json_is_array(allow))
        return true;
    json_array_foreach(allow, index, entry)
    {
        const char *text = json_string_value(entry);
        if (text && (is_server(text, server) || is_tool(text, server, server_tool, name)))
            return true;
    }
    return false;
}

bool tool_allow_server(const json_t *allow, const char *server)
{
    size_t index;
    const json_t *entry;
    /* A tool's name is cut at 64 characters, and its server's with it. */
    if (!json_is_array(allow) || (json_array_size(allow) && strlen(server) > 60))
        return true;
    json_array_foreach(allow, index, entry)
    {
        const char *text = json_string_value(entry);
        if (text && (is_server(text, server) || begins_with(text, server)))
            return true;
    }
    return false;
}
