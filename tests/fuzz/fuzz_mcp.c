/* What a tool server may write: JSON-RPC, results and resources that become text for a model, forms
 * that are answered. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libmcp/mcp_content.h"
#include "libmcp/mcp_elicit.h"
#include "libmcp/mcp_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 256, MARKER_MAX = 64 };

static void check(char *text)
{
    if (strlen(text) > TEXT_MAX + MARKER_MAX || !js_is_utf8(text, strlen(text)))
        abort();
    free(text);
}

static void check_answer(json_t *answer)
{
    const char *action = js_str(answer, "action", "");
    bool accepts = strcmp(action, "accept") == 0;
    if (!accepts && strcmp(action, "decline") != 0)
        abort();
    if (accepts != (json_object_size(json_object_get(answer, "content")) > 0))
        abort();
    json_decref(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mcp_message message;
    bool is_error;
    if (mcp_message_parse((const char *)data, size, &message))
        return 0;
    json_t *body = message.body;
    check(mcp_result_text(body, TEXT_MAX, &is_error));
    check(mcp_resource_text(body, TEXT_MAX));
    check(mcp_resource_lines(json_object_get(body, "resources"),
                             json_object_get(body, "resourceTemplates"), TEXT_MAX));
    check_answer(mcp_elicit_answer(body));
    json_decref(mcp_input_responses(json_object_get(body, "inputRequests")));
    json_decref(message.json);
    return 0;
}
