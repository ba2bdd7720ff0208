#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/html.h"
#include "services/google/mime.h"
#include "services/google/tools.h"

enum {
    LIST_PAGE_MAX = 100,
    FROM_MAX = 300,
    SUBJECT_MAX = 500,
    DATE_MAX = 100,
    SNIPPET_MAX = 400,
    BODY_MAX = 64 * 1024,
    QUERY_MAX = 32 * 1024,
};

/* gmail_list_messages */

struct message_list {
    struct api *api;
    struct listing listing;
    enum err error; /* of reading one message */
    char why[API_WHY_SIZE];
};

static enum err get_message(struct api *api, const char *id, const char *query, json_t **ret_json,
                            char *ret_why)
{
    AUTOFREE char *path = mem_printf("/gmail/v1/users/me/messages/%s", id);
    struct api_request request = {.host = API_GMAIL, .path = path, .query = query};
    return api_call(api, &request, ret_json, ret_why);
}

static bool add_message(struct message_list *list, const char *id, const json_t *message)
{
    const json_t *payload = json_object_get(message, "payload");
    const char *snippet = js_str(message, "snippet", "");
    struct buf plain, text;
    buf_init(&plain, 2 * strlen(snippet) + 16);
    buf_init(&text, RESULT_ITEM_MAX);
    html_decode_references(snippet, strlen(snippet), &plain);

    buf_printf(&text, "\n%zu. ", list->listing.count + 1);
    text_add_line(&text, mime_header(payload, "Subject"), SUBJECT_MAX);
    buf_add_str(&text, "\n   From: ");
    text_add_line(&text, mime_header(payload, "From"), FROM_MAX);
    buf_add_str(&text, "\n   Date: ");
    text_add_line(&text, mime_header(payload, "Date"), DATE_MAX);
    buf_printf(&text, "\n   ID: %s\n   Snippet: ", id);
    text_add_line(&text, buf_text(&plain), SNIPPET_MAX);
    buf_add_char(&text, '\n');

    json_t *json = json_object();
    json_set_line(json, "id", id, 256);
    json_set_line(json, "threadId", js_str(message, "threadId", NULL), 256);
    json_set_line(json, "from", mime_header(payload, "From"), FROM_MAX);
    json_set_line(json, "subject", mime_header(payload, "Subject"), SUBJECT_MAX);
    json_set_line(json, "date", mime_header(payload, "Date"), DATE_MAX);
    json_set_line(json, "snippet", buf_text(&plain), SNIPPET_MAX);
    bool added = listing_add(&list->listing, buf_text(&text), text.len, json);
    buf_fini(&text);
    buf_fini(&plain);
    return added;
}

static bool take_message(void *arg, const json_t *item)
{
    struct message_list *list = arg;
    AUTOJSON json_t *message = NULL;
    const char *id = js_str(item, "id", "");
    if (!api_is_id(id))
        return true;
    enum err err = get_message(list->api, id,
                               "format=metadata&metadataHeaders=From&metadataHeaders=Subject"
                               "&metadataHeaders=Date",
                               &message, list->why);
    if (err == ERR_NOT_FOUND)
        return true; /* deleted since it was listed */
    list->error = err;
    return !err && add_message(list, id, message);
}

void gmail_list_messages(struct api *api, const json_t *args, struct result *result)
{
    struct message_list list = {.api = api};
    struct buf query;
    bool more = false;
    buf_init(&query, QUERY_MAX);
    if (*js_str(args, "query", ""))
        query_add(&query, "q", js_str(args, "query", ""));
    listing_begin(&list.listing, result, "messages");
    struct api_list pages = {
        .request = {.host = API_GMAIL,
                    .path = "/gmail/v1/users/me/messages",
                    .query = buf_text(&query)},
        .items = "messages",
        .page_size = "maxResults",
        .page_max = LIST_PAGE_MAX,
        .max = js_int(args, "max_results", 10),
        .fn = take_message,
        .arg = &list,
    };
    enum err err = api_list(api, &pages, &more, list.why);
    buf_fini(&query);
    listing_end(&list.listing, "message", err ? err : list.error, list.why, more);
}

/* gmail_read_message_without_attachments */

static void add_headers(struct buf *text, const json_t *message)
{
    static const char *const names[] = {"From", "To", "Cc", "Date", "Subject"};
    const json_t *payload = json_object_get(message, "payload");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = mime_header(payload, names[i]);
        if (!value && strcmp(names[i], "Cc") == 0)
            continue;
        buf_printf(text, "%s: ", names[i]);
        text_add_line(text, value, 2000);
        buf_add_char(text, '\n');
    }
}

static void add_body(struct buf *text, const json_t *message)
{
    struct buf body;
    buf_init(&body, BODY_MAX);
    mime_text(json_object_get(message, "payload"), &body);
    buf_add_str(text, "\n--- text of the message, as its sender wrote it ---\n");
    buf_add_str(text, body.len ? buf_text(&body) : "(no text)");
    buf_add_str(text, body.full ? "\n[cut here: the message is longer]" : "");
    buf_add_str(text, "\n--- end of the text ---\n");
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
    char why[API_WHY_SIZE] = "";
    AUTOJSON json_t *message = NULL;
    if (!api_is_id(id)) {
        result_fail(result, "\"message_id\" is not the id of a message.");
        return;
    }
    if (get_message(api, id, "format=full", &message, why) != ERR_OK) {
        result_fail(result, "%s", why);
        return;
    }
    buf_printf(&result->text, "ID: %s\n", id);
    add_headers(&result->text, message);
    add_body(&result->text, message);
    if (js_bool(args, "include_attachments_info", true))
        add_attachments(&result->text, message);
}

/* gmail_list_labels */

void gmail_list_labels(struct api *api, const json_t *args, struct result *result)
{
    (void)args;
    char why[API_WHY_SIZE] = "";
    AUTOJSON json_t *json = NULL;
    struct listing listing;
    size_t i;
    json_t *label;
    struct api_request request = {.host = API_GMAIL, .path = "/gmail/v1/users/me/labels"};
    enum err err = api_call(api, &request, &json, why);
    listing_begin(&listing, result, "labels");
    json_array_foreach(json_object_get(json, "labels"), i, label)
    {
        struct buf text;
        buf_init(&text, RESULT_ITEM_MAX);
        buf_add_str(&text, "- ");
        text_add_line(&text, js_str(label, "name", ""), 300);
        buf_add_str(&text, " (ID: ");
        text_add_line(&text, js_str(label, "id", ""), 300);
        buf_add_str(&text, ", ");
        text_add_line(&text, js_str(label, "type", "user"), 20);
        buf_add_str(&text, ")\n");
        json_t *item = json_object();
        json_set_line(item, "id", js_str(label, "id", ""), 300);
        json_set_line(item, "name", js_str(label, "name", ""), 300);
        json_set_line(item, "type", js_str(label, "type", "user"), 20);
        bool added = listing_add(&listing, buf_text(&text), text.len, item);
        buf_fini(&text);
        if (!added)
            break;
    }
    listing_end(&listing, "label", err, why, false);
}
