/* Texts of errors, as models, tools and their servers write them, made alike. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "services/jobs/error_groups.h"
#include "services/jobs/stats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[1025], made[ERROR_TEXT_SIZE], again[ERROR_TEXT_SIZE];
    struct stats_times times;
    size = size < sizeof text - 1 ? size : sizeof text - 1;
    memcpy(text, data, size);
    text[size] = '\0';
    stats_times_read(&times, text);
    if (!js_is_utf8(text, strlen(text)))
        return 0;
    error_groups_text(text, made);
    if (!js_is_utf8(made, strlen(made)))
        abort();
    for (const char *at = made; *at; at++)
        if ((unsigned char)*at < ' ')
            abort();
    error_groups_text(made, again);
    struct store_failure failures[] = {{"a", "u", text, "t"}, {"b", "u", text, NULL}};
    AUTOJSON json_t *groups = error_groups_json(failures, 2);
    if (json_array_size(json_object_get(groups, "errors")) != 1)
        abort();
    return 0;
}
