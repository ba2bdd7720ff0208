/* What a tool server may write: lines of JSON-RPC, and results that become text for a model. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libmcp/mcp_content.h"
#include "libmcp/mcp_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mcp_message message;
    if (mcp_message_parse((const char *)data, size, &message))
        return 0;
    if (message.kind == MCP_RESULT) {
        bool is_error;
        char *text = mcp_result_text(message.body, 256, &is_error);
        if (strlen(text) > 256 + 64 || !js_is_utf8(text, strlen(text)))
            abort();
        free(text);
    }
    json_decref(message.json);
    return 0;
}
