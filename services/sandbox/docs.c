/* Docs' API v1: a document is the text of its file, with one style. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/docs_edit.h"
#include "services/sandbox/drive.h"

#define DOCUMENT "application/vnd.google-apps.document"

static json_t *own_document(struct call *call, const char *id)
{
    json_t *file = item_find(call->account->files, id);
    if (!file || !drive_shows(call, file))
        google_rpc_error(call, 404, NULL, "Requested entity was not found.");
    else if (strcmp(js_str(file, "mimeType", ""), DOCUMENT) != 0)
        google_rpc_error(call, 400, "FAILED_PRECONDITION",
                         "This operation is not supported for this document");
    else
        return file;
    return NULL;
}

static json_t *paragraph(int64_t start, int64_t end, const char *text, size_t len)
{
    return json_pack("{s:I, s:I, s:{s:[{s:I, s:I, s:{s:o, s:{}}}], s:{s:s, s:s}}}", "startIndex",
                     (json_int_t)start, "endIndex", (json_int_t)end, "paragraph", "elements",
                     "startIndex", (json_int_t)start, "endIndex", (json_int_t)end, "textRun",
                     "content", js_string_capped(text, len, FILE_CONTENT_MAX, ""), "textStyle",
                     "paragraphStyle", "namedStyleType", "NORMAL_TEXT", "direction",
                     "LEFT_TO_RIGHT");
}

/* With ?includeTabsContent=true the content is in tabs; there is one. */
static json_t *document(struct call *call, const json_t *file)
{
    const char *tabs = call_query(call, "includeTabsContent");
    const char *text = js_str(file, "_text", "");
    json_t *content = json_array();
    int64_t index = 1;
    json_array_append_new(content, json_pack("{s:i, s:{s:{s:s}}}", "endIndex", 1, "sectionBreak",
                                             "sectionStyle", "sectionType", "CONTINUOUS"));
    while (*text) {
        size_t len = strcspn(text, "\n");
        len += text[len] == '\n';
        int64_t end = index + utf16_length(text, len);
        json_array_append_new(content, paragraph(index, end, text, len));
        index = end;
        text += len;
    }
    json_t *answer =
        json_pack("{s:s, s:s, s:s, s:s}", "documentId", js_str(file, "id", ""), "title",
                  js_str(file, "name", ""), "revisionId", js_str(file, "version", "1"),
                  "suggestionsViewMode", "PREVIEW_WITHOUT_SUGGESTIONS");
    if (tabs && strcmp(tabs, "true") == 0)
        json_object_set_new(answer, "tabs",
                            json_pack("[{s:{s:s, s:s, s:i}, s:{s:{s:o}}}]", "tabProperties",
                                      "tabId", "t.0", "title", "Tab 1", "index", 0, "documentTab",
                                      "body", "content", content));
    else
        json_object_set_new(answer, "body", json_pack("{s:o}", "content", content));
    return answer;
}

void docs_get(struct call *call)
{
    const json_t *file = own_document(call, call->args[0]);
    if (file)
        reply_json(call, 200, document(call, file));
}

void docs_create(struct call *call)
{
    AUTOJSON json_t *body = google_body(call);
    if (!body)
        return;
    AUTOJSON json_t *metadata = json_pack(
        "{s:s, s:s}", "name", js_str(body, "title", "Untitled document"), "mimeType", DOCUMENT);
    json_t *file = drive_make(call, metadata, NULL);
    if (!file)
        return;
    file_set_content(file, "\n", 1);
    json_incref(file);
    if (item_add(call->account, call->account->files, file, 512))
        google_rpc_error(call, 403, NULL, "The invented Drive is full.");
    else
        reply_json(call, 200, document(call, file));
    json_decref(file);
}

/* writeControl's requiredRevisionId must be the present one. */
static bool revision_fits(struct call *call, const json_t *file, const json_t *body)
{
    const char *wanted = js_str(json_object_get(body, "writeControl"), "requiredRevisionId", NULL);
    if (!wanted || strcmp(wanted, js_str(file, "version", "1")) == 0)
        return true;
    google_rpc_error(call, 400, "FAILED_PRECONDITION",
                     "The required revision ID does not match the latest revision.");
    return false;
}

void docs_batch_update(struct call *call)
{
    char *colon = strrchr(call->args[0], ':');
    if (!colon || strcmp(colon, ":batchUpdate") != 0) {
        google_rpc_error(call, 404, NULL, "Not Found");
        return;
    }
    *colon = 0;
    json_t *file = own_document(call, call->args[0]);
    AUTOJSON json_t *body = file ? google_body(call) : NULL;
    if (!body || !revision_fits(call, file, body))
        return;
    char why[DOCS_WHY_SIZE];
    AUTOFREE char *text = NULL;
    json_t *replies = NULL;
    if (docs_edit(js_str(file, "_text", ""), json_object_get(body, "requests"), &text, &replies,
                  why)) {
        google_rpc_error(call, 400, NULL, why);
        return;
    }
    size_t before = strlen(js_str(file, "_text", "")), after = strlen(text);
    if (after > before && after - before > ACCOUNT_STORED_MAX - call->account->stored) {
        json_decref(replies);
        google_rpc_error(call, 403, NULL, "The invented Drive is full.");
        return;
    }
    call->account->stored += after > before ? after - before : 0;
    file_set_content(file, text, after);
    drive_touch(call, file);
    reply_json(call, 200,
               json_pack("{s:s, s:o, s:{s:s}}", "documentId", call->args[0], "replies", replies,
                         "writeControl", "requiredRevisionId", js_str(file, "version", "1")));
}
