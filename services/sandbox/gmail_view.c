#include "services/sandbox/gmail_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/mime.h"

#define ATTACHMENT_PREFIX "ANGjdJ_"
enum { RAW_MAX = 24 << 20 };

static json_t *header(const char *name, const char *value)
{
    return json_pack("{s:s, s:s}", "name", name, "value", value);
}

static json_t *text_part(const char *id, const char *type, const char *text)
{
    AUTOFREE char *full_type = mem_printf("%s; charset=\"UTF-8\"", type);
    AUTOFREE char *data = crypto_base64url_encode(text, strlen(text));
    return json_pack("{s:s, s:s, s:s, s:[o], s:{s:I, s:s}}", "partId", id, "mimeType", type,
                     "filename", "", "headers", header("Content-Type", full_type), "body", "size",
                     (json_int_t)strlen(text), "data", data);
}

static json_t *multipart(const char *id, const char *type, json_t *parts)
{
    AUTOFREE char *full_type = mem_printf("%s; boundary=\"000000000000sandbox%s\"", type, id);
    return json_pack("{s:s, s:s, s:s, s:[o], s:{s:i}, s:o}", "partId", id, "mimeType", type,
                     "filename", "", "headers", header("Content-Type", full_type), "body", "size",
                     0, "parts", parts);
}

static json_t *body_part(const json_t *mail, const char *id)
{
    const char *text = js_str(mail, "_text", ""), *html = js_str(mail, "_html", NULL);
    char first[16], second[16];
    if (!html)
        return text_part(id, "text/plain", text);
    snprintf(first, sizeof(first), "%s%s0", id, *id ? "." : "");
    snprintf(second, sizeof(second), "%s%s1", id, *id ? "." : "");
    json_t *parts = json_array();
    json_array_append_new(parts, text_part(first, "text/plain", text));
    json_array_append_new(parts, text_part(second, "text/html", html));
    return multipart(id, "multipart/alternative", parts);
}

static json_t *attachment_part(const json_t *mail, const json_t *attachment, size_t index)
{
    char part_id[32];
    const char *name = js_str(attachment, "filename", "");
    const char *type = js_str(attachment, "mimeType", "application/octet-stream");
    AUTOFREE char *id = mem_printf(ATTACHMENT_PREFIX "%s_%zu", js_str(mail, "id", ""), index);
    AUTOFREE char *disposition = mem_printf("attachment; filename=\"%s\"", name);
    snprintf(part_id, sizeof(part_id), "%zu", index + 1);
    return json_pack("{s:s, s:s, s:s, s:[o, o, o], s:{s:s, s:I}}", "partId", part_id, "mimeType",
                     type, "filename", name, "headers", header("Content-Type", type),
                     header("Content-Disposition", disposition),
                     header("Content-Transfer-Encoding", "base64"), "body", "attachmentId", id,
                     "size", (json_int_t)js_int(attachment, "size", 0));
}

static json_t *payload(const json_t *mail)
{
    size_t i;
    json_t *one, *result, *attachments = json_object_get(mail, "_attachments");
    if (json_array_size(attachments)) {
        json_t *parts = json_array();
        json_array_append_new(parts, body_part(mail, "0"));
        json_array_foreach(attachments, i, one)
            json_array_append_new(parts, attachment_part(mail, one, i));
        result = multipart("", "multipart/mixed", parts);
    } else {
        result = body_part(mail, "");
    }
    json_t *headers = json_deep_copy(json_object_get(mail, "headers"));
    json_array_extend(headers, json_object_get(result, "headers"));
    json_object_set_new(result, "headers", headers);
    return result;
}

static json_t *raw_text(const json_t *mail)
{
    struct buf raw;
    if (json_object_get(mail, "_raw")) /* as it was sent */
        return json_incref(json_object_get(mail, "_raw"));
    buf_init(&raw, RAW_MAX);
    mime_build(mail, &raw);
    AUTOFREE char *data = crypto_base64url_encode(buf_text(&raw), raw.len);
    buf_fini(&raw);
    return json_string(data);
}

static json_t *minimal(const json_t *mail)
{
    char date[32];
    snprintf(date, sizeof(date), "%lld", (long long)js_int(mail, "internalDate", 0));
    return json_pack("{s:s, s:s, s:O, s:s, s:s, s:s, s:I}", "id", js_str(mail, "id", ""),
                     "threadId", js_str(mail, "threadId", ""), "labelIds",
                     json_object_get(mail, "labelIds"), "snippet", js_str(mail, "snippet", ""),
                     "historyId", js_str(mail, "historyId", "1"), "internalDate", date,
                     "sizeEstimate", (json_int_t)strlen(js_str(mail, "_text", "")) + 1500);
}

json_t *gmail_view(const json_t *mail, const char *format)
{
    bool full = !format || strcasecmp(format, "full") == 0;
    bool metadata = !full && strcasecmp(format, "metadata") == 0;
    bool raw = !full && strcasecmp(format, "raw") == 0;
    if (!full && !metadata && !raw && strcasecmp(format, "minimal") != 0)
        return NULL;
    json_t *view = minimal(mail);
    if (raw)
        json_object_set_new(view, "raw", raw_text(mail));
    if (full)
        json_object_set_new(view, "payload", payload(mail));
    if (metadata)
        json_object_set_new(view, "payload",
                            json_pack("{s:s, s:O}", "mimeType", "text/plain", "headers",
                                      json_object_get(mail, "headers")));
    return view;
}

const json_t *gmail_find_attachment(const json_t *mail, const char *attachment_id)
{
    const char *index = strrchr(attachment_id, '_');
    char *end;
    if (!index || strncmp(attachment_id, ATTACHMENT_PREFIX, strlen(ATTACHMENT_PREFIX)) != 0)
        return NULL;
    unsigned long number = strtoul(index + 1, &end, 10);
    return *end || !index[1] ? NULL : json_array_get(json_object_get(mail, "_attachments"), number);
}
