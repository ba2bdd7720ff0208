/* Whatever a tool server says that its arguments look like: what the model is offered is a schema
 * that OpenAI takes, and mending it once more changes nothing. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "services/sandbox/openai_check.h"
#include "services/worker/tool_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTOJSON json_t *json = NULL;
    struct openai_fault fault;
    if (js_parse((const char *)data, size, &json, NULL))
        return 0;
    AUTOJSON json_t *schema = tool_schema(json);
    if (!openai_check_schema(schema, "f", "p", &fault))
        abort();
    AUTOJSON json_t *again = tool_schema(schema);
    if (!json_equal(schema, again))
        abort();
    return 0;
}
