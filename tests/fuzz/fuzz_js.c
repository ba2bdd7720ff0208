/* Whatever the quick parser accepts, jansson must accept, with the same value and text. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/js_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    AUTOJSON json_t *plain = js_parse_plain(text, size);
    if (!plain)
        return 0;
    AUTOJSON json_t *reference =
        json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    assert(reference && json_equal(plain, reference));
    char *ours = js_dump(plain);
    char *theirs = json_dumps(reference, JSON_COMPACT | JSON_ENCODE_ANY);
    assert(strcmp(ours, theirs) == 0);
    free(ours);
    free(theirs);
    return 0;
}
