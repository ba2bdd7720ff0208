/* Word documents: the archive and the XML in it. */
#include <stdlib.h>

#include "services/files/files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out;
    buf_init(&out, 64 * 1024);
    enum err err = files_docx_to_text(data, size, &out);
    if (out.len > out.max ||
        (err && err != ERR_INVALID && err != ERR_DENIED && err != ERR_TOO_LARGE))
        abort();
    buf_fini(&out);
    return 0;
}
