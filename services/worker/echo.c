#include "services/worker/echo.h"

#include "libcommon/mem.h"

json_t *echo_run(const char *message)
{
    static json_t *usage; /* the same for every run; one thread */
    if (!usage)
        usage =
            json_pack("{s:i, s:i, s:i}", "input_tokens", 0, "output_tokens", 0, "total_tokens", 0);
    AUTOFREE char *result = mem_printf("echo: %s", message);
    return json_pack("{s:s, s:s, s:O}", "outcome", "completed", "result", result, "token_usage",
                     usage);
}
