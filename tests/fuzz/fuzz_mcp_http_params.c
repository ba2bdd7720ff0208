/* A tool's schema is the server's and a call's arguments are the model's: whatever they are, what
 * becomes of them is lines that can't begin another. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libmcp/mcp_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(const json_t *lines)
{
    size_t index;
    json_t *line;
    json_array_foreach(lines, index, line)
    {
        const char *text = json_string_value(line);
        if (strncmp(text, "Mcp-Param-", 10) != 0 || !strstr(text, ": "))
            abort();
        for (; *text; text++)
            if (*text < 0x20 || *text > 0x7e)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[MCP_WHY_SIZE_MAX];
    json_t *value = NULL;
    if (js_parse((const char *)data, size, &value, NULL))
        return 0;
    json_t *lines = json_array();
    bool valid = mcp_http_tool_is_valid(value, why);
    if (mcp_http_param_lines(value, json_object_get(value, "arguments"), lines, why) == ERR_OK &&
        valid)
        check_lines(lines);
    json_decref(lines);
    json_decref(value);
    return 0;
}
