#include <stdio.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/extract.h"
#include "services/google/gmail.h"
#include "services/google/mime.h"
#include "services/google/tools.h"

enum {
    READ_MAX = 5,          /* attachments in one answer */
    TEXT_MAX = 200 * 1024, /* of all of them */
    ID_MAX = 4096,         /* Gmail's ids of attachments are long */
    BYTES_MAX = 26214400,  /* Gmail takes no larger mails than 25 MB */
};

struct reading {
    struct api *api;
    const char *message_id;
    struct result *result;
    size_t read;
    bool failed; /* it could not be read */
    bool over;   /* the call was cancelled */
};

static bool is_attachment_id(const char *id)
{
    size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    return len > 0 && len <= ID_MAX && !id[len];
}

/* The part's bytes, from the message itself or by its id; free() them. `why` has the words. */
static enum err get_bytes(struct reading *reading, const json_t *item, uint8_t **ret_data,
                          size_t *ret_len, char *why)
{
    const char *id = js_str(item, "attachmentId", "");
    AUTOJSON json_t *body = NULL;
    json_t *data = json_object_get(item, "data");
    if (!data && !is_attachment_id(id)) {
        snprintf(why, API_WHY_SIZE, "Gmail gives no content of it");
        return ERR_NOT_FOUND;
    }
    if (!data) {
        AUTOFREE char *rest = mem_printf("/attachments/%s", id);
        AUTOFREE char *path = gmail_path(reading->message_id, rest);
        struct api_request request = {.host = API_GMAIL, .path = path};
        enum err err = api_call(reading->api, &request, &body, why);
        if (err)
            return err;
        data = json_object_get(body, "data");
    }
    enum err err = mime_decode_data(data, ret_data, ret_len);
    if (err)
        snprintf(why, API_WHY_SIZE, "Gmail's answer could not be understood");
    return err;
}

static void add_heading(struct buf *text, const json_t *item)
{
    buf_add_str(text, "Attachment: ");
    text_add_line(text, js_str(item, "filename", ""), 300);
    buf_printf(text, " (%s, %lld bytes)\n", js_str(item, "mimeType", ""),
               (long long)js_int(item, "size", 0));
}

static void add_text(struct reading *reading, const json_t *item, const struct buf *text)
{
    struct buf *out = &reading->result->text;
    char mark[TEXT_MARK_SIZE];
    add_heading(out, item);
    text_begin(out, "attachment", mark);
    if (text->len) {
        json_t *whole = js_string_capped(buf_text(text), text->len, text->len, "");
        buf_add(out, json_string_value(whole), json_string_length(whole));
        json_decref(whole);
    } else {
        buf_add_str(out, "(it has no text; scanned pages are pictures)");
    }
    buf_add_str(out, text->full ? "\n[cut here: the attachment is longer]" : "");
    text_end(out, mark);
    buf_add_char(out, '\n');
}

static void read_one(struct reading *reading, const json_t *item, enum extract_kind kind)
{
    char why[API_WHY_SIZE] = "";
    uint8_t *data = NULL;
    size_t len = 0;
    struct buf text;
    enum err err = ERR_TOO_LARGE;
    buf_init(&text, TEXT_MAX - reading->result->text.len);
    if (js_int(item, "size", 0) > BYTES_MAX)
        snprintf(why, sizeof why, "it is larger than 25 MB");
    else
        err = get_bytes(reading, item, &data, &len, why);
    if (!err)
        err = extract_text(reading->api, kind, data, len, &text, why);
    if (!err) {
        add_text(reading, item, &text);
    } else {
        add_heading(&reading->result->text, item);
        buf_printf(&reading->result->text, "It could not be read: %s.\n\n", why);
    }
    reading->failed = err != ERR_OK;
    reading->over = err == ERR_CANCELLED;
    reading->read++;
    buf_fini(&text);
    free(data);
}

static void add_names(const json_t *list, struct buf *out)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        buf_add_str(out, i ? ", " : "");
        text_add_line(out, js_str(item, "filename", ""), 200);
        buf_printf(out, " (%s)", js_str(item, "mimeType", ""));
    }
}

/* Nothing was read: says what there is. */
static void say_none(const json_t *list, const char *type, struct result *result)
{
    struct buf names;
    buf_init(&names, 1500);
    add_names(list, &names);
    if (json_array_size(list) == 0)
        result_fail(result, "The message has no attachments.");
    else
        result_fail(result,
                    "No attachment%s%.50s%s can be read as text (PDF, DOCX and text files can). "
                    "The message has: %.1200s",
                    *type ? " of the type \"" : "", type, *type ? "\"" : "", buf_text(&names));
    buf_fini(&names);
}

void gmail_read_attachment_content(struct api *api, const json_t *args, struct result *result)
{
    const char *type = js_str(args, "attachment_type", "");
    struct reading reading = {
        .api = api, .message_id = js_str(args, "message_id", ""), .result = result};
    enum extract_kind wanted = *type ? extract_kind_named(type) : EXTRACT_NONE;
    AUTOJSON json_t *message = NULL;
    size_t i, failed = 0;
    json_t *item;
    if (gmail_get(api, reading.message_id, GMAIL_FULL, &message, result) != ERR_OK)
        return;
    AUTOJSON json_t *list = mime_attachments(json_object_get(message, "payload"));
    json_array_foreach(list, i, item)
    {
        if (reading.over)
            break;
        enum extract_kind kind =
            extract_kind_of(js_str(item, "mimeType", ""), js_str(item, "filename", ""));
        if (kind == EXTRACT_NONE || (*type && kind != wanted))
            continue;
        if (reading.read == READ_MAX || result->text.len + 1000 > TEXT_MAX) {
            buf_add_str(&result->text, "[there are more attachments]\n");
            break;
        }
        api_progress(api, (double)i + 1, (double)json_array_size(list), "reading attachments");
        read_one(&reading, item, kind);
        failed += reading.failed;
    }
    if (reading.read == 0)
        say_none(list, type, result);
    else if (failed == reading.read)
        result->error = true;
}
