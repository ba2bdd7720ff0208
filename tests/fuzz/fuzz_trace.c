/* The texts of a trace context as they come from outside: what is taken can be written again. */
#include <assert.h>
#include <string.h>

#include "libcommon/mem.h"
#include "libcommon/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTOFREE char *text = mem_strndup((const char *)data, size);
    struct trace trace, again;
    char parent[TRACE_PARENT_SIZE], id[TRACE_ID_SIZE];
    if (trace_parse(text, &trace)) {
        trace_format(&trace, parent);
        assert(trace_is_set(&trace) && strlen(parent) == TRACE_PARENT_SIZE - 1);
        assert(trace_parse(parent, &again) && memcmp(&trace, &again, sizeof trace) == 0);
        trace_id_format(&trace, id);
        assert(trace_from_request_id(id, &again));
        assert(memcmp(trace.trace_id, again.trace_id, sizeof trace.trace_id) == 0);
    }
    if (trace_state_is_good(text))
        assert(*text && strlen(text) <= TRACE_STATE_MAX);
    if (trace_from_request_id(text, &trace))
        assert(trace_is_set(&trace));
    return 0;
}
