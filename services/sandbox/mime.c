#include "services/sandbox/mime.h"

#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/data.h"

/* Base64 in lines of 76 (RFC 2045 §6.8). */
static void add_base64(struct buf *out, const uint8_t *data, size_t len)
{
    static const char LETTERS[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t bits = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                        (left > 2 ? data[i + 2] : 0);
        char four[4] = {LETTERS[bits >> 18], LETTERS[bits >> 12 & 63],
                        left > 1 ? LETTERS[bits >> 6 & 63] : '=',
                        left > 2 ? LETTERS[bits & 63] : '='};
        buf_add(out, four, 4);
        if (i % 57 == 54)
            buf_add_str(out, "\r\n");
    }
    buf_add_str(out, "\r\n");
}

static void add_text_part(struct buf *out, const char *type, const char *text)
{
    buf_printf(out,
               "Content-Type: text/%s; charset=\"UTF-8\"\r\nContent-Transfer-Encoding: "
               "base64\r\n\r\n",
               type);
    add_base64(out, (const uint8_t *)text, strlen(text));
}

static void add_body(struct buf *out, const json_t *mail, const char *id)
{
    const char *html = js_str(mail, "_html", NULL);
    if (!html) {
        add_text_part(out, "plain", js_str(mail, "_text", ""));
        return;
    }
    buf_printf(out, "Content-Type: multipart/alternative; boundary=\"alt-%s\"\r\n\r\n--alt-%s\r\n",
               id, id);
    add_text_part(out, "plain", js_str(mail, "_text", ""));
    buf_printf(out, "--alt-%s\r\n", id);
    add_text_part(out, "html", html);
    buf_printf(out, "--alt-%s--\r\n", id);
}

static void add_attachment(struct buf *out, const json_t *attachment, const char *id)
{
    const char *data = js_str(attachment, "data", "");
    AUTOFREE uint8_t *bytes = NULL;
    size_t len;
    if (crypto_base64url_decode(data, strlen(data), &bytes, &len))
        return;
    buf_printf(out,
               "--mix-%s\r\nContent-Type: %s; name=\"%s\"\r\nContent-Disposition: attachment; "
               "filename=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n",
               id, js_str(attachment, "mimeType", ""), js_str(attachment, "filename", ""),
               js_str(attachment, "filename", ""));
    add_base64(out, bytes, len);
}

void mime_build(const json_t *mail, struct buf *out)
{
    size_t i;
    const json_t *one, *attachments = json_object_get(mail, "_attachments");
    const char *id = js_str(mail, "id", "");
    json_array_foreach(json_object_get(mail, "headers"), i, one)
        buf_printf(out, "%s: %s\r\n", js_str(one, "name", ""), js_str(one, "value", ""));
    buf_add_str(out, "MIME-Version: 1.0\r\n");
    if (json_array_size(attachments) == 0) {
        add_body(out, mail, id);
        return;
    }
    buf_printf(out, "Content-Type: multipart/mixed; boundary=\"mix-%s\"\r\n\r\n--mix-%s\r\n", id,
               id);
    add_body(out, mail, id);
    json_array_foreach(attachments, i, one) add_attachment(out, one, id);
    buf_printf(out, "--mix-%s--\r\n", id);
}
