#include "services/google/drive_content.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/http_client.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/drive_file.h"
#include "services/google/extract.h"

#define CONTENT_FIELDS "id,name,mimeType,size,webViewLink,modifiedTime,shortcutDetails(targetId)"

enum {
    EXPORT_MAX = 12 * 1024 * 1024, /* Google's own limit is 10 MB */
    SHORTCUTS_MAX = 4,
};

void drive_content_fini(struct drive_content *content)
{
    json_decref(content->file);
    buf_fini(&content->text);
    content->file = NULL;
}

/* How Google's own documents become text; the second form where the first is refused. */
static const struct {
    const char *type, *as, *or_as;
} exports[] = {
    {DRIVE_DOCUMENT, "text/markdown", "text/plain"},
    {DRIVE_SHEET, "text/csv", NULL},
    {DRIVE_SLIDES, "text/plain", NULL},
    {DRIVE_APPS "script", "application/vnd.google-apps.script+json", NULL},
};

static enum err export_as(struct api *api, const char *id, const char *type, struct buf *out,
                          char *ret_why)
{
    AUTOFREE char *path = drive_path("", id, "/export");
    AUTOFREE char *encoded = http_url_encode(type);
    AUTOFREE char *query = mem_printf("mimeType=%s", encoded);
    struct api_request request = {.host = API_DRIVE, .path = path, .query = query};
    return api_read(api, &request, out, ret_why);
}

/* Takes over what was read: without the byte order mark and the carriage returns that Google puts
 * in, as UTF-8. */
static void take_text(const struct buf *raw, struct buf *out)
{
    struct buf text;
    buf_init(&text, EXTRACT_TEXT_MAX);
    enum err err = extract_plain(buf_text(raw), raw->len, false, &text);
    (void)err; /* it can only be that there is more */
    const char *from = buf_text(&text);
    for (size_t i = 0; i < text.len && !out->full; i++)
        if (from[i] != '\r' || from[i + 1] != '\n')
            buf_add_char(out, from[i]);
    buf_fini(&text);
}

static enum err read_export(struct api *api, const char *id, const char *as, const char *or_as,
                            struct drive_content *content, char *ret_why)
{
    struct buf raw;
    buf_init(&raw, EXPORT_MAX);
    enum err err = export_as(api, id, as, &raw, ret_why);
    content->mime_type = as;
    if (err == ERR_INVALID && or_as) {
        buf_reset(&raw);
        err = export_as(api, id, or_as, &raw, ret_why);
        content->mime_type = or_as;
    }
    if (!err) {
        take_text(&raw, &content->text);
        content->readable = true;
        content->first_sheet = drive_is_type(content->file, DRIVE_SHEET);
    }
    buf_fini(&raw);
    return err;
}

static void add_description(struct drive_content *content, const char *why)
{
    const char *size = js_str(content->file, "size", NULL);
    struct buf *out = &content->text;
    buf_add_str(out, why);
    buf_add_str(out, "\nName: ");
    text_add_line(out, js_str(content->file, "name", ""), DRIVE_NAME_MAX);
    buf_add_str(out, "\nType: ");
    text_add_line(out, js_str(content->file, "mimeType", ""), DRIVE_NAME_MAX);
    if (size)
        buf_printf(out, "\nSize in bytes: %.20s", size);
    buf_add_str(out, "\nLink: ");
    text_add_line(out, js_str(content->file, "webViewLink", NULL), DRIVE_NAME_MAX);
    content->mime_type = "text/plain";
}

static enum err read_bytes(struct api *api, const char *id, struct drive_content *content,
                           enum extract_kind kind, char *ret_why)
{
    char said[EXTRACT_WHY_SIZE] = "";
    struct buf raw;
    AUTOFREE char *path = drive_path("", id, "");
    struct api_request request = {
        .host = API_DRIVE, .path = path, .query = "alt=media&supportsAllDrives=true"};
    buf_init(&raw, EXTRACT_INPUT_MAX);
    enum err err = api_read(api, &request, &raw, ret_why);
    if (err) {
        buf_fini(&raw);
        return err;
    }
    content->mime_type = "text/plain";
    if (kind == EXTRACT_TEXT) {
        take_text(&raw, &content->text);
    } else {
        err = extract_text(api, kind, buf_text(&raw), raw.len, &content->text, said);
        snprintf(ret_why, API_WHY_SIZE, "The file's text can't be read: %s", said);
    }
    buf_fini(&raw);
    content->readable = !err || content->text.full;
    return content->text.full ? ERR_OK : err;
}

static enum err read_file(struct api *api, const char *id, struct drive_content *content,
                          char *ret_why)
{
    const char *type = js_str(content->file, "mimeType", "");
    for (size_t i = 0; i < sizeof exports / sizeof *exports; i++)
        if (strcmp(exports[i].type, type) == 0)
            return read_export(api, id, exports[i].as, exports[i].or_as, content, ret_why);
    enum extract_kind kind = extract_kind_of(type, js_str(content->file, "name", ""));
    long long size = strtoll(js_str(content->file, "size", "0"), NULL, 10);
    if (strcmp(type, DRIVE_FOLDER) == 0)
        add_description(content, "This is a folder: drive_list_folder_contents shows what it has.");
    else if (kind == EXTRACT_NONE || strncmp(type, DRIVE_APPS, strlen(DRIVE_APPS)) == 0)
        add_description(content, "This file has no text that can be read here.");
    else if (size > EXTRACT_INPUT_MAX)
        add_description(content, "This file is too large to be read here.");
    else
        return read_bytes(api, id, content, kind, ret_why);
    return ERR_OK;
}

enum err drive_content_read(struct api *api, const char *id, size_t max,
                            struct drive_content *ret_content, char ret_why[API_WHY_SIZE])
{
    char at[DRIVE_ID_SIZE];
    struct drive_content *content = ret_content;
    *content = (struct drive_content){0};
    buf_init(&content->text, max);
    snprintf(at, sizeof at, "%s", id);
    for (int hops = 0;; hops++) {
        json_t *file = NULL;
        enum err err = drive_get_file(api, at, CONTENT_FIELDS, &file, ret_why);
        if (err)
            return err;
        json_decref(content->file);
        content->file = file;
        const char *target = js_str(json_object_get(file, "shortcutDetails"), "targetId", "");
        if (!drive_is_type(file, DRIVE_SHORTCUT) || hops == SHORTCUTS_MAX || !api_is_id(target))
            return read_file(api, at, content, ret_why);
        snprintf(at, sizeof at, "%s", target);
    }
}
