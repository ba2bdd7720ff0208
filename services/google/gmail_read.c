#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/gmail.h"
#include "services/google/mime.h"
#include "services/google/tools.h"

enum { BODY_MAX = 64 * 1024, HEADER_MAX = 2000 };

static void add_headers(struct buf *text, const json_t *message)
{
    static const char *const names[] = {"From", "To", "Cc", "Date", "Subject"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        AUTOFREE char *value = gmail_header(message, names[i]);
        if (!value && strcmp(names[i], "Cc") == 0)
            continue;
        buf_printf(text, "%s: ", names[i]);
        text_add_line(text, value, HEADER_MAX);
        buf_add_char(text, '\n');
    }
}

static void add_body(struct buf *text, const json_t *message)
{
    struct buf body;
    char mark[TEXT_MARK_SIZE];
    buf_init(&body, BODY_MAX);
    mime_text(json_object_get(message, "payload"), &body);
    buf_add_char(text, '\n');
    text_begin(text, "message, as its sender wrote it", mark);
    buf_add_str(text, body.len ? buf_text(&body) : "(no text)");
    buf_add_str(text, body.full ? "\n[cut here: the message is longer]" : "");
    text_end(text, mark);
    buf_fini(&body);
}

static void add_attachments(struct buf *text, const json_t *message)
{
    AUTOJSON json_t *list = mime_attachments(json_object_get(message, "payload"));
    size_t i;
    json_t *item;
    buf_printf(text, "\nAttachments: %s\n", json_array_size(list) ? "" : "none");
    json_array_foreach(list, i, item)
    {
        buf_printf(text, "- ");
        text_add_line(text, js_str(item, "filename", ""), 300);
        buf_printf(text, " (%s, %lld bytes)\n", js_str(item, "mimeType", ""),
                   (long long)js_int(item, "size", 0));
    }
}

void gmail_read_message(struct api *api, const json_t *args, struct result *result)
{
    const char *id = js_str(args, "message_id", "");
    AUTOJSON json_t *message = NULL;
    if (gmail_get(api, id, GMAIL_FULL, &message, result) != ERR_OK)
        return;
    buf_printf(&result->text, "ID: %s\n", id);
    add_headers(&result->text, message);
    add_body(&result->text, message);
    if (js_bool(args, "include_attachments_info", true))
        add_attachments(&result->text, message);
}
