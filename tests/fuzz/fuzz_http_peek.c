/* The judge of a connection's first bytes, without a connection. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/http_server_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_peek_refusal refusal = {0};
    /* A copy of its own, so that a read past its end is seen. */
    char *text = malloc(size ? size : 1);
    if (!text)
        abort();
    if (size)
        memcpy(text, data, size);
    enum http_peek whole = http_peek(text, size, &refusal);
    if (whole == HTTP_PEEK_REFUSE && (!refusal.status || !refusal.why))
        abort();
    /* What was taken has a header block with an end. */
    if (whole == HTTP_PEEK_READY && size < HTTP_PEEK_MAX && !memmem(text, size, "\r\n\r\n", 4))
        abort();
    free(text);
    return 0;
}
