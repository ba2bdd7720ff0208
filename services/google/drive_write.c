#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/docs_edit.h"
#include "services/google/drive_file.h"
#include "services/google/extract.h"
#include "services/google/pdf_from_text.h"
#include "services/google/tools.h"

#define UPLOAD_QUERY "supportsAllDrives=true&fields=" DRIVE_TELL_FIELDS

/* drive_edit */

static enum err replace_content(struct api *api, const char *id, const char *mime_type,
                                const char *content, json_t **ret_file, char *ret_why)
{
    AUTOFREE char *path = drive_path("/upload", id, "");
    struct api_upload upload = {.request = {.method = "PATCH",
                                            .host = API_DRIVE,
                                            .path = path,
                                            .query = UPLOAD_QUERY,
                                            .repeatable = true},
                                .mime_type = mime_type,
                                .data = content,
                                .size = (int64_t)strlen(content)};
    return api_upload(api, &upload, ret_file, ret_why);
}

/* A document keeps its styles when its text alone is replaced; where the Docs API is not enabled,
 * Drive converts an upload. */
static enum err edit_document(struct api *api, const char *id, const char *content, char *ret_why)
{
    enum err err = docs_set_text(api, id, content, ret_why);
    if (err != ERR_DENIED)
        return err;
    AUTOJSON json_t *file = NULL;
    return replace_content(api, id, "text/plain", content, &file, ret_why);
}

void drive_edit(struct api *api, const json_t *args, struct result *result)
{
    char id[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    const char *content = js_str(args, "content", "");
    AUTOJSON json_t *file = NULL, *changed = NULL;
    if (!drive_id_arg(args, "fileId", id, result) ||
        !drive_fetch_file(api, id, DRIVE_TELL_FIELDS, &file, result))
        return;
    const char *type = js_str(file, "mimeType", "");
    enum err err;
    if (strcmp(type, DRIVE_DOCUMENT) == 0) {
        err = edit_document(api, id, content, why);
    } else if (strcmp(type, DRIVE_SHEET) == 0) {
        result_fail(result, "This is a spreadsheet: sheets_update and sheets_append change it.");
        return;
    } else if (strncmp(type, DRIVE_APPS, strlen(DRIVE_APPS)) == 0 ||
               (extract_kind_of(type, js_str(file, "name", "")) != EXTRACT_TEXT &&
                extract_kind_of(type, js_str(file, "name", "")) != EXTRACT_HTML)) {
        result_fail(result,
                    "A file of type %.100s can't be edited: only Google Docs and text "
                    "files can.",
                    type);
        return;
    } else {
        err = replace_content(api, id, type, content, &changed, why);
    }
    if (err)
        result_fail(result, "%s", why);
    else
        drive_tell(result, "Replaced the content of", file);
}

/* drive_create */

struct new_file {
    const char *name, *mime_type, *folder; /* folder NULL: the root */
    const char *as;                        /* the content's type; converted to mime_type */
    const void *data;
    size_t len;
};

static enum err upload_new(struct api *api, const struct new_file *new_file, json_t **ret_file,
                           char *ret_why)
{
    AUTOJSON json_t *metadata =
        json_pack("{s:s,s:s}", "name", new_file->name, "mimeType", new_file->mime_type);
    if (new_file->folder)
        json_object_set_new(metadata, "parents", json_pack("[s]", new_file->folder));
    struct api_upload upload = {.request = {.method = "POST",
                                            .host = API_DRIVE,
                                            .path = "/upload/drive/v3/files",
                                            .query = UPLOAD_QUERY,
                                            .body = metadata},
                                .mime_type = new_file->as,
                                .data = new_file->data,
                                .size = (int64_t)new_file->len};
    return api_upload(api, &upload, ret_file, ret_why);
}

static const char *type_of_word(const char *word)
{
    static const char *const words[][2] = {
        {"document", DRIVE_DOCUMENT}, {"doc", DRIVE_DOCUMENT}, {"google_doc", DRIVE_DOCUMENT},
        {"spreadsheet", DRIVE_SHEET}, {"sheet", DRIVE_SHEET},  {"pdf", "application/pdf"},
        {"text", "text/plain"},       {"txt", "text/plain"},   {"markdown", "text/markdown"},
        {"csv", "text/csv"},          {"html", "text/html"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(words[i][0], word) == 0)
            return words[i][1];
    return word;
}

/* What is uploaded; *ret_memory (free() it) holds what had to be made. False: the result says why
 * it can't be. */
static bool make_content(struct api *api, struct new_file *new_file, const char *content,
                         uint8_t **ret_memory, struct result *result)
{
    const char *type = new_file->mime_type;
    new_file->data = content;
    new_file->len = strlen(content);
    new_file->as = type;
    if (strcmp(type, DRIVE_DOCUMENT) == 0)
        new_file->as = "text/plain";
    else if (strcmp(type, DRIVE_SHEET) == 0)
        new_file->as = "text/csv";
    else if (strcmp(type, "application/pdf") == 0) {
        enum err err = pdf_from_text(api, new_file->name, content, ret_memory, &new_file->len);
        new_file->data = *ret_memory;
        if (err)
            result_fail(result, err == ERR_TOO_LARGE ? "The text is too long for a PDF (at most 1 "
                                                       "MB and 1,000 pages)."
                                                     : "The PDF could not be made.");
    } else if (strncmp(type, "text/", 5) != 0 && strcmp(type, "application/json") != 0 &&
               strcmp(type, "application/xml") != 0) {
        result_fail(result,
                    "\"mimeType\" must be " DRIVE_DOCUMENT " (a Google Doc), " DRIVE_SHEET
                    " (a Google Sheet, from CSV), application/pdf, text/plain or another text.");
    }
    return !result->error;
}

void drive_create(struct api *api, const json_t *args, struct result *result)
{
    char folder[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    struct new_file new_file = {.name = js_str(args, "name", ""),
                                .mime_type = type_of_word(js_str(args, "mimeType", ""))};
    AUTOFREE uint8_t *memory = NULL;
    AUTOJSON json_t *file = NULL;
    if (*js_str(args, "folder_id", "")) {
        if (!drive_id_arg(args, "folder_id", folder, result))
            return;
        new_file.folder = folder;
    }
    if (!make_content(api, &new_file, js_str(args, "content", ""), &memory, result))
        return;
    if (upload_new(api, &new_file, &file, why) == ERR_OK)
        drive_tell(result, "Created", file);
    else
        result_fail(result, "%s", why);
}

/* drive_delete */

/* It may be that the first answer was lost, and the repeated request found nothing any more. */
static bool is_gone(struct api *api, const char *id)
{
    char why[API_WHY_SIZE] = "";
    AUTOJSON json_t *file = NULL;
    return drive_get_file(api, id, "id", &file, why) == ERR_NOT_FOUND;
}

void drive_delete(struct api *api, const json_t *args, struct result *result)
{
    char id[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    AUTOJSON json_t *file = NULL, *nothing = NULL;
    if (!drive_id_arg(args, "fileId", id, result) ||
        !drive_fetch_file(api, id, DRIVE_TELL_FIELDS, &file, result))
        return;
    AUTOFREE char *path = drive_path("", id, "");
    struct api_request request = {
        .method = "DELETE", .host = API_DRIVE, .path = path, .query = "supportsAllDrives=true"};
    enum err err = api_call(api, &request, &nothing, why);
    if (err && !(err == ERR_NOT_FOUND && is_gone(api, id))) {
        result_fail(result, "%s", why);
        return;
    }
    json_object_del(file, "webViewLink");
    drive_tell(result, "Deleted", file);
}
