/* Gmail's API v1. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/data.h"
#include "services/sandbox/errors.h"
#include "services/sandbox/gmail.h"
#include "services/sandbox/gmail_query.h"
#include "services/sandbox/gmail_view.h"

enum { QUERY_MAX = 4096, PAGE_MAX = 500, LABELS_MAX = 100 };

static const char *const SYSTEM_LABELS[] = {"CHAT",
                                            "SENT",
                                            "INBOX",
                                            "IMPORTANT",
                                            "TRASH",
                                            "DRAFT",
                                            "SPAM",
                                            "CATEGORY_FORUMS",
                                            "CATEGORY_UPDATES",
                                            "CATEGORY_PERSONAL",
                                            "CATEGORY_PROMOTIONS",
                                            "CATEGORY_SOCIAL",
                                            "STARRED",
                                            "UNREAD"};
static const struct {
    const char *id, *name;
} USER_LABELS[] = {{"Label_1", "Receipts"}, {"Label_2", "Travel"}, {"Label_3", "Projects"}};
enum {
    SYSTEM_COUNT = sizeof(SYSTEM_LABELS) / sizeof(SYSTEM_LABELS[0]),
    USER_COUNT = sizeof(USER_LABELS) / sizeof(USER_LABELS[0]),
};

/* The user in the path must be "me" or the token's own address. */
bool gmail_is_own(struct call *call)
{
    if (strcmp(call->args[0], "me") == 0 || strcasecmp(call->args[0], call->account->email) == 0)
        return true;
    google_error(call, 403, "forbidden", "Delegation denied for this user.");
    return false;
}

static json_t *own_mail(struct call *call)
{
    if (!gmail_is_own(call))
        return NULL;
    json_t *mail = item_find(call->account->mails, call->args[1]);
    if (!mail)
        google_error(call, 404, "notFound", "Requested entity was not found.");
    return mail;
}

void gmail_profile(struct call *call)
{
    if (!gmail_is_own(call))
        return;
    json_int_t count = (json_int_t)json_array_size(call->account->mails);
    reply_json(call, 200,
               json_pack("{s:s, s:I, s:I, s:s}", "emailAddress", call->account->email,
                         "messagesTotal", count, "threadsTotal", count, "historyId", "424242"));
}

void gmail_labels(struct call *call)
{
    if (!gmail_is_own(call))
        return;
    json_t *labels = json_array();
    for (int i = 0; i < SYSTEM_COUNT; i++)
        json_array_append_new(labels, json_pack("{s:s, s:s, s:s}", "id", SYSTEM_LABELS[i], "name",
                                                SYSTEM_LABELS[i], "type", "system"));
    for (int i = 0; i < USER_COUNT; i++)
        json_array_append_new(
            labels, json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", USER_LABELS[i].id, "name",
                              USER_LABELS[i].name, "messageListVisibility", "show",
                              "labelListVisibility", "labelShow", "type", "user"));
    reply_json(call, 200, json_pack("{s:o}", "labels", labels));
}

static bool label_exists(const char *id)
{
    for (int i = 0; i < SYSTEM_COUNT; i++)
        if (strcmp(SYSTEM_LABELS[i], id) == 0)
            return true;
    for (int i = 0; i < USER_COUNT; i++)
        if (strcmp(USER_LABELS[i].id, id) == 0)
            return true;
    return false;
}

struct listing {
    const char *query, *label;
    bool trash;
    size_t offset, limit;
};

static bool is_listed(struct call *call, const struct listing *listing, const json_t *mail)
{
    if (!listing->trash && (mail_has_label(mail, "TRASH") || mail_has_label(mail, "SPAM")))
        return false;
    if (listing->label && !mail_has_label(mail, listing->label))
        return false;
    return gmail_query_matches(listing->query, mail, call->now_ms);
}

static bool read_listing(struct call *call, struct listing *ret_listing)
{
    const char *query = call_query(call, "q");
    const char *label = call_query(call, "labelIds");
    const char *trash = call_query(call, "includeSpamTrash");
    if (query && strlen(query) > QUERY_MAX) {
        google_error(call, 400, "invalidArgument", "The query is too long.");
        return false;
    }
    if (label && !label_exists(label)) {
        google_error(call, 400, "invalidArgument", "Invalid label.");
        return false;
    }
    query = query ? query : "";
    *ret_listing = (struct listing){.query = query,
                                    .label = label,
                                    .trash = (trash && strcmp(trash, "true") == 0) ||
                                             gmail_query_wants_trash(query) ||
                                             (label && strcmp(label, "TRASH") == 0),
                                    .limit = (size_t)call_limit(call, "maxResults", 100, PAGE_MAX)};
    return call_offset(call, &ret_listing->offset);
}

/* `key` is "messages" or "threads"; each thread stands in the list once. */
static void list(struct call *call, const char *key, bool threads)
{
    struct listing listing;
    if (!gmail_is_own(call) || !read_listing(call, &listing))
        return;
    size_t i, found = 0;
    const json_t *mail;
    json_t *items = json_array();
    json_array_foreach(call->account->mails, i, mail)
    {
        const char *thread = js_str(mail, "threadId", "");
        if (!is_listed(call, &listing, mail) ||
            (threads && strcmp(thread, js_str(mail, "id", "")) != 0))
            continue;
        if (found++ < listing.offset || json_array_size(items) >= listing.limit)
            continue;
        json_array_append_new(items, threads ? json_pack("{s:s, s:s, s:s}", "id", thread, "snippet",
                                                         js_str(mail, "snippet", ""), "historyId",
                                                         js_str(mail, "historyId", "1"))
                                             : json_pack("{s:s, s:s}", "id", js_str(mail, "id", ""),
                                                         "threadId", thread));
    }
    json_t *answer = json_pack("{s:I}", "resultSizeEstimate", (json_int_t)found);
    size_t next = listing.offset + json_array_size(items);
    if (next < found)
        json_object_set_new(answer, "nextPageToken", page_token(next));
    if (json_array_size(items))
        json_object_set(answer, key, items);
    json_decref(items);
    reply_json(call, 200, answer);
}

void gmail_list(struct call *call)
{
    list(call, "messages", false);
}

void gmail_threads(struct call *call)
{
    list(call, "threads", true);
}

void gmail_thread(struct call *call)
{
    if (!gmail_is_own(call))
        return;
    json_t *messages = json_array();
    for (size_t i = json_array_size(call->account->mails); i-- > 0;) {
        const json_t *mail = json_array_get(call->account->mails, i);
        if (strcmp(js_str(mail, "threadId", ""), call->args[1]) == 0)
            json_array_append_new(messages, gmail_view(mail, call_query(call, "format")));
    }
    if (json_array_size(messages) == 0) {
        json_decref(messages);
        google_error(call, 404, "notFound", "Requested entity was not found.");
        return;
    }
    reply_json(call, 200,
               json_pack("{s:s, s:s, s:o}", "id", call->args[1], "historyId", "424242", "messages",
                         messages));
}

void gmail_get(struct call *call)
{
    const json_t *mail = own_mail(call);
    if (!mail)
        return;
    json_t *view = gmail_view(mail, call_query(call, "format"));
    if (view)
        reply_json(call, 200, view);
    else
        google_error(call, 400, "invalidArgument", "Invalid value for format.");
}

void gmail_attachment(struct call *call)
{
    const json_t *mail = own_mail(call);
    if (!mail)
        return;
    const json_t *attachment = gmail_find_attachment(mail, call->args[2]);
    if (!attachment) {
        google_error(call, 404, "notFound", "Requested entity was not found.");
        return;
    }
    reply_json(call, 200,
               json_pack("{s:I, s:s}", "size", (json_int_t)js_int(attachment, "size", 0), "data",
                         js_str(attachment, "data", "")));
}

void gmail_reply_minimal(struct call *call, const json_t *mail)
{
    reply_json(call, 200,
               json_pack("{s:s, s:s, s:O}", "id", js_str(mail, "id", ""), "threadId",
                         js_str(mail, "threadId", ""), "labelIds",
                         json_object_get(mail, "labelIds")));
}

bool gmail_labels_exist(const json_t *labels)
{
    size_t i;
    const json_t *one;
    json_array_foreach(labels, i, one) if (!json_is_string(one) ||
                                           !label_exists(json_string_value(one))) return false;
    return true;
}

/* Labels that Gmail alone sets. */
static bool has_fixed(const json_t *labels)
{
    size_t i;
    const json_t *one;
    json_array_foreach(labels, i, one)
    {
        const char *id = json_string_value(one);
        if (strcmp(id, "SENT") == 0 || strcmp(id, "DRAFT") == 0 || strcmp(id, "CHAT") == 0)
            return true;
    }
    return false;
}

void gmail_modify(struct call *call)
{
    json_t *mail = own_mail(call), *label;
    AUTOJSON json_t *body = mail ? google_body(call) : NULL;
    if (!body)
        return;
    size_t i;
    const json_t *add = json_object_get(body, "addLabelIds");
    const json_t *remove = json_object_get(body, "removeLabelIds");
    if (json_array_size(add) > LABELS_MAX || json_array_size(remove) > LABELS_MAX ||
        !gmail_labels_exist(add) || !gmail_labels_exist(remove) || has_fixed(add) ||
        has_fixed(remove)) {
        google_error(call, 400, "invalidArgument", "Invalid label.");
        return;
    }
    json_array_foreach(add, i, label) mail_label(mail, json_string_value(label), true);
    json_array_foreach(remove, i, label) mail_label(mail, json_string_value(label), false);
    gmail_reply_minimal(call, mail);
}

static void set_trash(struct call *call, bool trash)
{
    json_t *mail = own_mail(call);
    if (!mail)
        return;
    mail_label(mail, "TRASH", trash);
    mail_label(mail, "INBOX", !trash);
    gmail_reply_minimal(call, mail);
}

void gmail_trash(struct call *call)
{
    set_trash(call, true);
}

void gmail_untrash(struct call *call)
{
    set_trash(call, false);
}

void gmail_delete(struct call *call)
{
    if (!own_mail(call))
        return;
    item_remove(call->account->mails, call->args[1]);
    call_respond(call, 204, NULL, "", 0, NULL);
}
