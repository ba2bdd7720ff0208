#include <poppler.h>
#include <string.h>

#include "services/files/files.h"

enum { PAGES_MAX = 2000 };

static void add_page(PopplerDocument *document, int number, struct buf *out)
{
    PopplerPage *page = poppler_document_get_page(document, number);
    if (!page)
        return;
    char *text = poppler_page_get_text(page);
    if (text && *text) {
        size_t len = strlen(text), room = out->max - out->len;
        buf_add(out, text, len < room ? len : room);
        out->full = out->full || len > room;
        if (text[len - 1] != '\n' && !out->full)
            buf_add_char(out, '\n');
    }
    g_free(text);
    g_object_unref(page);
}

enum err files_pdf_to_text(const void *data, size_t len, struct buf *out)
{
    GError *error = NULL;
    GBytes *bytes = g_bytes_new_static(data, len);
    PopplerDocument *document = poppler_document_new_from_bytes(bytes, NULL, &error);
    g_bytes_unref(bytes);
    if (!document) {
        bool locked = g_error_matches(error, POPPLER_ERROR, POPPLER_ERROR_ENCRYPTED);
        g_clear_error(&error);
        return locked ? ERR_DENIED : ERR_INVALID;
    }
    int count = poppler_document_get_n_pages(document);
    for (int i = 0; i < count && i < PAGES_MAX && !out->full; i++)
        add_page(document, i, out);
    g_object_unref(document);
    return ERR_OK;
}
