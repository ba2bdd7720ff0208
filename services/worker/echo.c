#include "services/worker/echo.h"

#include "libcommon/mem.h"

json_t *echo_run(const char *message)
{
    AUTOFREE char *result = mem_printf("echo: %s", message);
    return json_pack("{s:s, s:s, s:{s:i, s:i, s:i}}", "outcome", "completed", "result", result,
                     "token_usage", "input_tokens", 0, "output_tokens", 0, "total_tokens", 0);
}
