#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/docs_edit.h"
#include "services/google/docs_text.h"
#include "services/google/drive_file.h"
#include "services/google/tools.h"

static char *path_of(const char *id, const char *suffix)
{
    return mem_printf("/v1/documents/%s%s", id, suffix);
}

static enum err get_document(struct api *api, const char *id, const char *query,
                             json_t **ret_document, char *ret_why)
{
    AUTOFREE char *path = path_of(id, "");
    struct api_request request = {.host = API_DOCS, .path = path, .query = query};
    return api_call(api, &request, ret_document, ret_why);
}

/* `revision` (may be NULL): the one that the document must still have. `requests` is consumed. */
static enum err update(struct api *api, const char *id, const char *revision, json_t *requests,
                       json_t **ret_answer, char *ret_why)
{
    AUTOFREE char *path = path_of(id, ":batchUpdate");
    AUTOJSON json_t *body = json_pack("{s:o}", "requests", requests);
    if (revision)
        json_object_set_new(body, "writeControl",
                            json_pack("{s:s}", "requiredRevisionId", revision));
    struct api_request request = {.method = "POST",
                                  .host = API_DOCS,
                                  .path = path,
                                  .body = body,
                                  /* The second time the revision is another one. */
                                  .repeatable = false};
    return api_call(api, &request, ret_answer, ret_why);
}

/* The index behind the last character that can be deleted. */
static int64_t end_of(const json_t *document)
{
    const json_t *content = json_object_get(json_object_get(document, "body"), "content");
    size_t count = json_array_size(content);
    int64_t end = count ? js_int(json_array_get(content, count - 1), "endIndex", 2) : 2;
    return end - 1; /* the last line break stays */
}

static const char end_query[] = "fields=title,revisionId,body(content(endIndex))";

enum err docs_set_text(struct api *api, const char *id, const char *text,
                       char ret_why[API_WHY_SIZE])
{
    AUTOJSON json_t *document = NULL, *answer = NULL;
    enum err err = get_document(api, id, end_query, &document, ret_why);
    if (err)
        return err;
    json_t *requests = json_array();
    int64_t end = end_of(document);
    if (end > 1)
        json_array_append_new(requests,
                              json_pack("{s:{s:{s:i,s:I}}}", "deleteContentRange", "range",
                                        "startIndex", 1, "endIndex", (json_int_t)end));
    /* The line break at the end is there already. */
    size_t len = strlen(text);
    len -= len && text[len - 1] == '\n';
    if (len)
        json_array_append_new(requests, json_pack("{s:{s:{s:i},s:s%}}", "insertText", "location",
                                                  "index", 1, "text", text, len));
    if (json_array_size(requests) == 0) {
        json_decref(requests);
        return ERR_OK;
    }
    return update(api, id, js_str(document, "revisionId", NULL), requests, &answer, ret_why);
}

void docs_read(struct api *api, const json_t *args, struct result *result)
{
    char id[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    AUTOJSON json_t *document = NULL;
    if (!drive_id_arg(args, "document_id", id, result))
        return;
    if (get_document(api, id, "includeTabsContent=true", &document, why) != ERR_OK) {
        result_fail(result, "%s", why);
        return;
    }
    struct buf text;
    buf_init(&text, RESULT_TEXT_MAX - 2048);
    docs_text(document, &text);
    bool cut = text.full;
    text_add_line(&result->text, js_str(document, "title", ""), DRIVE_NAME_MAX);
    buf_add_str(&result->text, "\n\n");
    buf_add(&result->text, buf_text(&text), text.len);
    if (cut)
        buf_add_str(&result->text, "\n[cut here: the document is longer]");
    result->structured = json_pack("{s:s,s:b}", "id", id, "complete", (int)!cut);
    json_set_line(result->structured, "title", js_str(document, "title", NULL), DRIVE_NAME_MAX);
    buf_fini(&text);
}

void docs_append(struct api *api, const json_t *args, struct result *result)
{
    char id[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    AUTOJSON json_t *document = NULL, *answer = NULL;
    if (!drive_id_arg(args, "document_id", id, result))
        return;
    enum err err = get_document(api, id, end_query, &document, why);
    if (!err) {
        /* A new paragraph, unless there is none yet. */
        AUTOFREE char *text =
            mem_printf("%s%s", end_of(document) > 1 ? "\n" : "", js_str(args, "text", ""));
        err = update(
            api, id, NULL,
            json_pack("[{s:{s:{},s:s}}]", "insertText", "endOfSegmentLocation", "text", text),
            &answer, why);
    }
    if (err) {
        result_fail(result, "%s", why);
        return;
    }
    buf_add_str(&result->text, "Appended to the document: ");
    text_add_line(&result->text, js_str(document, "title", ""), DRIVE_NAME_MAX);
    buf_add_char(&result->text, '\n');
    result->structured = json_pack("{s:s}", "id", id);
}

void docs_replace_text(struct api *api, const json_t *args, struct result *result)
{
    char id[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    AUTOJSON json_t *answer = NULL;
    if (!drive_id_arg(args, "document_id", id, result))
        return;
    json_t *requests =
        json_pack("[{s:{s:{s:s,s:b},s:s}}]", "replaceAllText", "containsText", "text",
                  js_str(args, "find", ""), "matchCase", (int)js_bool(args, "match_case", true),
                  "replaceText", js_str(args, "replace", ""));
    if (update(api, id, NULL, requests, &answer, why) != ERR_OK) {
        result_fail(result, "%s", why);
        return;
    }
    const json_t *reply = json_array_get(json_object_get(answer, "replies"), 0);
    int64_t count = js_int(json_object_get(reply, "replaceAllText"), "occurrencesChanged", 0);
    if (count)
        buf_printf(&result->text, "Replaced %lld occurrence%s.\n", (long long)count,
                   count == 1 ? "" : "s");
    else
        buf_add_str(&result->text,
                    "The text does not occur in the document: nothing was replaced.\n");
    result->structured = json_pack("{s:s,s:I}", "id", id, "occurrencesChanged", (json_int_t)count);
}
