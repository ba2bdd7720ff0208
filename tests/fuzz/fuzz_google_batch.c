/* Answers to batch requests: the first line is the content type. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/google/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct batch_answer answers[BATCH_PARTS_MAX];
    const uint8_t *end = memchr(data, '\n', size);
    if (!end)
        return 0;
    char *type = mem_strndup((const char *)data, (size_t)(end - data));
    const char *text = (const char *)end + 1;
    size_t len = size - (size_t)(end - data) - 1;
    if (batch_parse(type, text, len, answers, BATCH_PARTS_MAX) == ERR_OK)
        for (size_t i = 0; i < BATCH_PARTS_MAX; i++)
            if (answers[i].len &&
                (answers[i].body < text || answers[i].body + answers[i].len > text + len))
                abort();
    free(type);
    return 0;
}
