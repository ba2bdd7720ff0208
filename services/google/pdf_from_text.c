#include "services/google/pdf_from_text.h"

#include <string.h>

#include "libcommon/buf.h"
#include "services/google/files.h"

enum { TITLE_MAX = 500 };

static void add_title(struct buf *in, const char *title)
{
    size_t len = strlen(title);
    for (size_t i = 0; i < len && i < TITLE_MAX; i++)
        buf_add_char(in, title[i] == '\n' ? ' ' : title[i]);
    buf_add_char(in, '\n');
}

enum err pdf_from_text(struct api *api, const char *title, const char *text, uint8_t **ret_data,
                       size_t *ret_len)
{
    struct buf in, out;
    if (strlen(text) > PDF_TEXT_MAX)
        return ERR_TOO_LARGE;
    buf_init(&in, PDF_TEXT_MAX + TITLE_MAX + 16);
    buf_init(&out, PDF_MAX);
    add_title(&in, title);
    buf_add_str(&in, text);
    enum err err = files_run(api, "make-pdf", buf_text(&in), in.len, &out);
    if (!err && out.full)
        err = ERR_TOO_LARGE;
    if (!err) {
        *ret_len = out.len;
        *ret_data = (uint8_t *)buf_steal(&out);
    }
    buf_fini(&in);
    buf_fini(&out);
    return err;
}
