#include <cairo-pdf.h>
#include <pango/pangocairo.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/files/files.h"

#define FONT "Sans 11"
/* In points. */
enum { WIDTH = 595, HEIGHT = 842, MARGIN = 56 };
enum { PARAGRAPH_MAX = 64 * 1024 };

struct page {
    cairo_t *cairo;
    PangoLayout *layout;
    double y; /* the next line's top */
    int number;
};

static cairo_status_t take(void *arg, const unsigned char *data, unsigned int len)
{
    struct buf *out = arg;
    buf_add(out, data, len);
    return out->full ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}

static void next_page(struct page *page)
{
    cairo_show_page(page->cairo);
    page->y = MARGIN;
    page->number++;
}

static void draw_line(struct page *page, PangoLayoutIter *iter)
{
    PangoRectangle box;
    pango_layout_iter_get_line_extents(iter, NULL, &box);
    double height = (double)box.height / PANGO_SCALE;
    double above = (double)(pango_layout_iter_get_baseline(iter) - box.y) / PANGO_SCALE;
    if (page->y + height > HEIGHT - MARGIN)
        next_page(page);
    if (page->number >= FILES_PAGES_MAX)
        return;
    cairo_move_to(page->cairo, MARGIN + (double)box.x / PANGO_SCALE, page->y + above);
    pango_cairo_show_layout_line(page->cairo, pango_layout_iter_get_line_readonly(iter));
    page->y += height;
}

static void draw_paragraph(struct page *page, const char *text, size_t len)
{
    pango_layout_set_text(page->layout, text, (int)len);
    PangoLayoutIter *iter = pango_layout_get_iter(page->layout);
    do
        draw_line(page, iter);
    while (page->number < FILES_PAGES_MAX && pango_layout_iter_next_line(iter));
    pango_layout_iter_free(iter);
}

/* Lines are broken at white space; one without any would be laid out at quadratic cost. */
static size_t paragraph_len(const char *text)
{
    size_t len = strcspn(text, "\n\f");
    if (len <= PARAGRAPH_MAX)
        return len;
    len = PARAGRAPH_MAX;
    while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static void draw_text(struct page *page, const char *text)
{
    while (*text && page->number < FILES_PAGES_MAX) {
        size_t len = paragraph_len(text);
        size_t shown = len && text[len - 1] == '\r' ? len - 1 : len;
        draw_paragraph(page, text, shown);
        if (text[len] == '\f')
            next_page(page);
        text += len + (text[len] == '\n' || text[len] == '\f');
    }
}

/* Pango stops at what is not UTF-8. */
static char *clean(const char *text, size_t len)
{
    json_t *string = js_string_capped(text, len, 3 * len + 1, "");
    char *copy = mem_strdup(json_string_value(string));
    json_decref(string);
    return copy;
}

static int draw_document(cairo_surface_t *surface, const char *text)
{
    struct page page = {.cairo = cairo_create(surface), .y = MARGIN};
    page.layout = pango_cairo_create_layout(page.cairo);
    PangoFontDescription *font = pango_font_description_from_string(FONT);
    pango_layout_set_font_description(page.layout, font);
    pango_layout_set_width(page.layout, (WIDTH - 2 * MARGIN) * PANGO_SCALE);
    pango_layout_set_wrap(page.layout, PANGO_WRAP_WORD_CHAR);
    draw_text(&page, text);
    pango_font_description_free(font);
    g_object_unref(page.layout);
    cairo_destroy(page.cairo);
    return page.number;
}

enum err files_make_pdf(const void *data, size_t len, struct buf *out)
{
    const char *end = memchr(data, '\n', len);
    if (!end)
        return ERR_INVALID;
    size_t title_len = (size_t)(end - (const char *)data);
    AUTOFREE char *title = clean(data, title_len);
    AUTOFREE char *text = clean(end + 1, len - title_len - 1);
    cairo_surface_t *surface = cairo_pdf_surface_create_for_stream(take, out, WIDTH, HEIGHT);
    cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, title);
    int pages = draw_document(surface, text);
    cairo_surface_finish(surface);
    bool good = cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS && out->len;
    cairo_surface_destroy(surface);
    if (pages >= FILES_PAGES_MAX || out->full)
        return ERR_TOO_LARGE;
    return good ? ERR_OK : ERR_INTERNAL;
}
