#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/gmail.h"
#include "services/google/html.h"
#include "services/google/mime.h"
#include "services/google/tools.h"

enum {
    FROM_MAX = 300,
    SUBJECT_MAX = 500,
    DATE_MAX = 100,
    SNIPPET_MAX = 400,
    EXCERPT_MAX = 1500, /* of a message's text, in a summary */
    EXAMINED_MAX = 500, /* messages that a search with attachments looks at */
    NAME_BYTES = 300,
};

#define METADATA                                                                      \
    "format=metadata&metadataHeaders=From&metadataHeaders=To&metadataHeaders=Subject" \
    "&metadataHeaders=Date&fields=id,threadId,labelIds,snippet,payload/headers"
/* Names, types and sizes without the contents, as deep as mails go. */
#define PART "mimeType,filename,headers,body(size,attachmentId)"
#define ATTACHMENTS                                                                      \
    "format=full&fields=id,threadId,snippet,payload(" PART ",parts(" PART ",parts(" PART \
    ",parts(" PART ",parts(" PART ",parts(" PART "))))))"

struct message_list {
    struct listing listing;
    bool to, excerpt;
    int64_t wanted;
    const char *type; /* of attachments, "" any */
};

static void add_field(struct buf *text, json_t *json, const char *label, const char *key,
                      const char *value, size_t max)
{
    buf_printf(text, "\n   %s: ", label);
    text_add_line(text, value, max);
    json_set_line(json, key, value, max);
}

static void add_header(struct buf *text, json_t *json, const json_t *message, const char *name,
                       const char *key, size_t max)
{
    AUTOFREE char *value = gmail_header(message, name);
    add_field(text, json, name, key, value, max);
}

static void add_snippet(struct buf *text, json_t *json, const json_t *message)
{
    const char *snippet = js_str(message, "snippet", "");
    struct buf plain;
    buf_init(&plain, 2 * strlen(snippet) + 16);
    html_decode_references(snippet, strlen(snippet), &plain);
    add_field(text, json, "Snippet", "snippet", buf_text(&plain), SNIPPET_MAX);
    buf_fini(&plain);
}

/* White space as single spaces. */
static void fold(struct buf *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++) {
        bool space = strchr(" \t\r\n", text->data[i]) != NULL;
        if (!space || (n && text->data[n - 1] != ' '))
            text->data[n++] = space ? ' ' : text->data[i];
    }
    if (text->data)
        text->data[n] = '\0';
    text->len = n;
}

static void add_excerpt(struct buf *text, json_t *json, const json_t *message)
{
    struct buf body;
    buf_init(&body, (size_t)4 * EXCERPT_MAX); /* more than is shown, so that the cut is marked */
    mime_text(json_object_get(message, "payload"), &body);
    fold(&body);
    add_field(text, json, "Text", "text", buf_text(&body), EXCERPT_MAX);
    buf_fini(&body);
}

static void add_head(struct message_list *list, struct buf *text, json_t *json, const char *id,
                     const json_t *message)
{
    AUTOFREE char *subject = gmail_header(message, "Subject");
    buf_printf(text, "\n%zu. ", list->listing.count + 1);
    text_add_line(text, subject, SUBJECT_MAX);
    json_set_line(json, "id", id, 256);
    json_set_line(json, "threadId", js_str(message, "threadId", NULL), 256);
    json_set_line(json, "subject", subject, SUBJECT_MAX);
    add_header(text, json, message, "From", "from", FROM_MAX);
    if (list->to)
        add_header(text, json, message, "To", "to", FROM_MAX);
    add_header(text, json, message, "Date", "date", DATE_MAX);
    buf_printf(text, "\n   ID: %s", id);
}

static bool take_message(void *arg, const char *id, const json_t *message)
{
    struct message_list *list = arg;
    struct buf text;
    json_t *json = json_object();
    buf_init(&text, RESULT_ITEM_MAX);
    add_head(list, &text, json, id, message);
    if (list->excerpt)
        add_excerpt(&text, json, message);
    else
        add_snippet(&text, json, message);
    buf_add_char(&text, '\n');
    bool added = listing_add(&list->listing, buf_text(&text), text.len, json);
    buf_fini(&text);
    return added;
}

static void run(struct api *api, struct message_list *list, struct gmail_walk *walk,
                struct result *result)
{
    char why[API_WHY_SIZE] = "";
    bool more = false;
    walk->api = api;
    walk->arg = list;
    listing_begin(&list->listing, result, "messages");
    enum err err = gmail_walk(walk, &more, why);
    listing_end(&list->listing, "message", err, why, more);
}

void gmail_list_messages(struct api *api, const json_t *args, struct result *result)
{
    struct message_list list = {0};
    struct gmail_walk walk = {.search = js_str(args, "query", ""),
                              .query = METADATA,
                              .max = js_int(args, "max_results", 10),
                              .fn = take_message};
    run(api, &list, &walk, result);
}

void gmail_search_and_summarize(struct api *api, const json_t *args, struct result *result)
{
    struct message_list list = {.to = true, .excerpt = true};
    struct buf search;
    buf_init(&search, GMAIL_QUERY_MAX);
    buf_add_str(&search, js_str(args, "query", ""));
    gmail_search_add(&search, "from", js_str(args, "sender", ""));
    gmail_search_add(&search, "to", js_str(args, "recipient", ""));
    gmail_search_add(&search, "subject", js_str(args, "subject_contains", ""));
    struct gmail_walk walk = {.search = buf_text(&search),
                              .query = GMAIL_FULL,
                              .max = js_int(args, "max_results", 10),
                              .fn = take_message};
    run(api, &list, &walk, result);
    buf_fini(&search);
}

/* gmail_find_messages_with_attachments */

/* Is it of the wanted type: "pdf" (a name's ending, a part of the MIME type), "application/pdf"? */
static bool is_wanted(const char *type, const json_t *attachment)
{
    const char *name = js_str(attachment, "filename", ""), *dot = strrchr(name, '.');
    const char *mime = js_str(attachment, "mimeType", "");
    type += *type == '.';
    return !*type || strcasecmp(mime, type) == 0 || (dot && strcasecmp(dot + 1, type) == 0) ||
           (!strchr(type, '/') && strncasecmp(mime, type, strlen(type)) == 0 &&
            mime[strlen(type)] == '/');
}

static size_t add_attachments(const struct message_list *list, struct buf *text, json_t *json,
                              const json_t *message)
{
    size_t i;
    const json_t *item;
    json_t *kept = json_array();
    AUTOJSON json_t *all = mime_attachments(json_object_get(message, "payload"));
    json_array_foreach(all, i, item)
    {
        if (!is_wanted(list->type, item))
            continue;
        buf_add_str(text, "\n   Attachment: ");
        text_add_line(text, js_str(item, "filename", ""), NAME_BYTES);
        buf_printf(text, " (%s, %lld bytes)", js_str(item, "mimeType", ""),
                   (long long)js_int(item, "size", 0));
        json_array_append_new(kept, json_pack("{s:O,s:O,s:O}", "filename",
                                              json_object_get(item, "filename"), "mimeType",
                                              json_object_get(item, "mimeType"), "size",
                                              json_object_get(item, "size")));
    }
    json_object_set(json, "attachments", kept);
    json_decref(kept);
    return json_array_size(kept);
}

static bool take_with_attachments(void *arg, const char *id, const json_t *message)
{
    struct message_list *list = arg;
    struct buf text;
    json_t *json = json_object();
    buf_init(&text, RESULT_ITEM_MAX);
    add_head(list, &text, json, id, message);
    if (add_attachments(list, &text, json, message) == 0) {
        json_decref(json);
        buf_fini(&text);
        return true;
    }
    buf_add_char(&text, '\n');
    bool added = listing_add(&list->listing, buf_text(&text), text.len, json);
    buf_fini(&text);
    return added && (int64_t)list->listing.count < list->wanted;
}

/* The search text; NULL after failing the result. free() it. */
static char *attachment_search(const json_t *args, struct result *result)
{
    struct buf search;
    const char *type = js_str(args, "attachment_type", "");
    buf_init(&search, GMAIL_QUERY_MAX);
    buf_add_str(&search, "has:attachment");
    if (*js_str(args, "query", ""))
        buf_printf(&search, " (%s)", js_str(args, "query", ""));
    gmail_search_add(&search, "from", js_str(args, "sender", ""));
    gmail_search_add(&search, "subject", js_str(args, "subject_contains", ""));
    /* "image" and the like are no endings of names: those are sorted out here. */
    if (*type && !strchr(type, '/') && strlen(type) <= 4)
        gmail_search_add(&search, "filename", type + (*type == '.'));
    bool good = gmail_search_add_day(&search, "after", js_str(args, "date_after", "")) &&
                gmail_search_add_day(&search, "before", js_str(args, "date_before", ""));
    if (good && buf_check(&search) == ERR_OK)
        return buf_steal(&search);
    result_fail(result, good ? "The search is too long."
                             : "\"date_after\" and \"date_before\" must be days such as "
                               "2025-01-31.");
    buf_fini(&search);
    return NULL;
}

void gmail_find_messages_with_attachments(struct api *api, const json_t *args,
                                          struct result *result)
{
    const char *type = js_str(args, "attachment_type", "");
    const char *mime_type = js_str(args, "mime_type", "");
    int64_t wanted = js_int(args, "max_results", 10);
    struct message_list list = {.wanted = wanted, .type = *mime_type ? mime_type : type};
    AUTOFREE char *search = attachment_search(args, result);
    if (!search)
        return;
    /* Where only some kinds are wanted, more messages are looked at than are shown. */
    struct gmail_walk walk = {.search = search,
                              .query = ATTACHMENTS,
                              .max = *list.type ? EXAMINED_MAX : wanted,
                              .fn = take_with_attachments};
    run(api, &list, &walk, result);
}
