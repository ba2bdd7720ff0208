/* Small real documents: PDF (ISO 32000-1) and DOCX (ECMA-376 in a ZIP of stored entries). */
#include <string.h>

#include "libcommon/buf.h"
#include "services/sandbox/data.h"
#include "libcommon/form.h"

enum { DOCUMENT_MAX = 4 << 20, PARTS = 3 };

/* One line a text operator; what is not ASCII becomes '?', since no font with more is embedded. */
static void pdf_page(const char *text, struct buf *out)
{
    buf_add_str(out, "BT /F1 12 Tf 14 TL 72 770 Td\n");
    while (*text) {
        size_t len = strcspn(text, "\n");
        buf_add_char(out, '(');
        for (size_t i = 0; i < len; i++) {
            if (strchr("()\\", text[i]))
                buf_add_char(out, '\\');
            if (text[i] != '\r')
                buf_add_char(out, text[i] < ' ' || text[i] > '~' ? '?' : text[i]);
        }
        buf_add_str(out, ") Tj T*\n");
        text += len + (text[len] == '\n');
    }
    buf_add_str(out, "ET");
}

uint8_t *office_pdf(const char *text, size_t *ret_len)
{
    struct buf out, page;
    size_t at[6];
    buf_init(&out, DOCUMENT_MAX);
    buf_init(&page, DOCUMENT_MAX);
    pdf_page(text, &page);
    buf_add_str(&out, "%PDF-1.4\n");
    at[1] = out.len;
    buf_add_str(&out, "1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n");
    at[2] = out.len;
    buf_add_str(&out, "2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n");
    at[3] = out.len;
    buf_add_str(&out, "3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 "
                      "R /Resources << /Font << /F1 5 0 R >> >> >>\nendobj\n");
    at[4] = out.len;
    buf_printf(&out, "4 0 obj\n<< /Length %zu >>\nstream\n", page.len);
    buf_add(&out, buf_text(&page), page.len);
    buf_add_str(&out, "\nendstream\nendobj\n");
    at[5] = out.len;
    buf_add_str(&out, "5 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>\nendobj\n");
    size_t xref = out.len;
    buf_add_str(&out, "xref\n0 6\n0000000000 65535 f \n");
    for (int i = 1; i <= 5; i++)
        buf_printf(&out, "%010zu 00000 n \n", at[i]);
    buf_printf(&out, "trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%zu\n%%%%EOF\n", xref);
    buf_fini(&page);
    *ret_len = out.len;
    return (uint8_t *)buf_steal(&out);
}

static uint32_t crc32_of(const char *data, size_t len)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned char)data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
    }
    return ~crc;
}

static void add_le(struct buf *out, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_add_char(out, (char)(value >> 8 * i & 0xff));
}

struct part {
    const char *name, *text;
    uint32_t crc, len, offset;
};

/* What the local header and the directory's entry share: version, flags, method, time, date, … */
static void zip_common(struct buf *out, const struct part *part)
{
    add_le(out, 20, 2);
    add_le(out, 0, 2);
    add_le(out, 0, 2);
    add_le(out, 0, 2);
    add_le(out, 0x5821, 2);
    add_le(out, part->crc, 4);
    add_le(out, part->len, 4);
    add_le(out, part->len, 4);
    add_le(out, (uint32_t)strlen(part->name), 2);
    add_le(out, 0, 2);
}

static void zip_local(struct buf *out, struct part *part)
{
    part->len = (uint32_t)strlen(part->text);
    part->crc = crc32_of(part->text, part->len);
    part->offset = (uint32_t)out->len;
    buf_add(out, "PK\3\4", 4);
    zip_common(out, part);
    buf_add_str(out, part->name);
    buf_add_str(out, part->text);
}

static void zip_entry(struct buf *out, const struct part *part)
{
    buf_add(out, "PK\1\2", 4);
    add_le(out, 20, 2);
    zip_common(out, part);
    add_le(out, 0, 2); /* comment */
    add_le(out, 0, 2); /* disk */
    add_le(out, 0, 2); /* attributes */
    add_le(out, 0, 4);
    add_le(out, part->offset, 4);
    buf_add_str(out, part->name);
}

static char *docx_body(const char *text)
{
    struct buf out;
    buf_init(&out, DOCUMENT_MAX);
    buf_add_str(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<w:document "
                      "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\">"
                      "<w:body>");
    while (*text) {
        size_t len = strcspn(text, "\n");
        char *line = strndup(text, len);
        buf_add_str(&out, "<w:p><w:r><w:t xml:space=\"preserve\">");
        html_escape(&out, line ? line : "");
        buf_add_str(&out, "</w:t></w:r></w:p>");
        free(line);
        text += len + (text[len] == '\n');
    }
    buf_add_str(&out, "</w:body></w:document>");
    return buf_steal(&out);
}

uint8_t *office_docx(const char *text, size_t *ret_len)
{
    char *body = docx_body(text);
    struct part parts[PARTS] = {
        {.name = "[Content_Types].xml",
         .text = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<Types "
                 "xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default "
                 "Extension=\"rels\" "
                 "ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>"
                 "<Override PartName=\"/word/document.xml\" "
                 "ContentType=\"application/vnd.openxmlformats-officedocument.wordprocessingml."
                 "document.main+xml\"/></Types>"},
        {.name = "_rels/.rels",
         .text = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<Relationships "
                 "xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">"
                 "<Relationship Id=\"rId1\" "
                 "Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
                 "officeDocument\" Target=\"word/document.xml\"/></Relationships>"},
        {.name = "word/document.xml", .text = body}};
    struct buf out;
    buf_init(&out, DOCUMENT_MAX);
    for (int i = 0; i < PARTS; i++)
        zip_local(&out, &parts[i]);
    size_t directory = out.len;
    for (int i = 0; i < PARTS; i++)
        zip_entry(&out, &parts[i]);
    size_t size = out.len - directory;
    buf_add(&out, "PK\5\6\0\0\0\0", 8);
    add_le(&out, PARTS, 2);
    add_le(&out, PARTS, 2);
    add_le(&out, (uint32_t)size, 4);
    add_le(&out, (uint32_t)directory, 4);
    add_le(&out, 0, 2);
    free(body);
    *ret_len = out.len;
    return (uint8_t *)buf_steal(&out);
}
