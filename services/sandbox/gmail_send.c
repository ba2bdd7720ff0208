/* Mails that come into the mailbox: Gmail's messages.send and .insert. */
#include <string.h>
#include <strings.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/data.h"
#include "services/sandbox/errors.h"
#include "services/sandbox/gmail.h"
#include "services/sandbox/mime.h"

enum { MADE_IDS = 1000 };

/* A sent mail in the sandbox's form, or NULL after a 400. */
static json_t *read_raw(struct call *call, const json_t *body, size_t *ret_bytes)
{
    const char *raw = js_str(body, "raw", NULL);
    AUTOFREE uint8_t *text = NULL;
    json_t *parsed = NULL;
    size_t len = 0, raw_len = raw ? strlen(raw) : 0;
    while (raw_len && raw[raw_len - 1] == '=') /* padding is allowed */
        raw_len--;
    if (!raw_len || crypto_base64url_decode(raw, raw_len, &text, &len)) {
        google_error(call, 400, "invalidArgument",
                     "'raw' RFC822 payload message string or "
                     "uploading message via /upload/* URL required");
        return NULL;
    }
    if (mime_parse((const char *)text, len, &parsed)) {
        google_error(call, 400, "invalidArgument", "Invalid message.");
        return NULL;
    }
    *ret_bytes = 2 * len;
    json_object_set_new(parsed, "raw", json_stringn(raw, raw_len));
    return parsed;
}

/* A mail with the headers and content of `parsed`; `thread` NULL: it begins one. */
static json_t *make_mail(struct call *call, const json_t *parsed, const char *thread)
{
    char id[ITEM_ID_SIZE];
    struct account *account = call->account;
    data_mail_id(account->email, MADE_IDS + account->serial++, id);
    const char *text = js_str(parsed, "text", "");
    json_t *mail = mail_new(id, thread ? thread : id, call->now_ms, account->email, "", "", text);
    json_t *headers = json_deep_copy(json_object_get(parsed, "headers"));
    AUTOJSON json_t *made = json_incref(json_object_get(mail, "headers"));
    json_object_set_new(mail, "headers", headers);
    for (size_t i = 0; i < json_array_size(made); i++) {
        const json_t *one = json_array_get(made, i);
        if (!*mail_header(mail, js_str(one, "name", "")))
            mail_add_header(mail, js_str(one, "name", ""), js_str(one, "value", ""));
    }
    if (json_object_get(parsed, "html"))
        json_object_set(mail, "_html", json_object_get(parsed, "html"));
    json_object_set(mail, "_attachments", json_object_get(parsed, "attachments"));
    json_object_set(mail, "_raw", json_object_get(parsed, "raw"));
    return mail;
}

/* Puts the mail (consumed) into the mailbox and answers. */
static void add_mail(struct call *call, json_t *mail, size_t bytes)
{
    json_incref(mail);
    if (item_add(call->account, call->account->mails, mail, bytes))
        google_error(call, 429, "rateLimitExceeded", "The invented mailbox is full.");
    else
        gmail_reply_minimal(call, mail);
    json_decref(mail);
}

static const char *plain_subject(const char *subject)
{
    while (strncasecmp(subject, "re:", 3) == 0)
        subject += 3 + strspn(subject + 3, " ");
    return subject;
}

/* Gmail puts a mail into a thread only when it says itself that it belongs there: by the id of one
 * of its mails, and its subject. */
static bool belongs(const json_t *mail, const json_t *other)
{
    const char *id = mail_header(other, "Message-ID");
    return *id &&
           (strstr(mail_header(mail, "In-Reply-To"), id) ||
            strstr(mail_header(mail, "References"), id)) &&
           strcasecmp(plain_subject(mail_header(mail, "Subject")),
                      plain_subject(mail_header(other, "Subject"))) == 0;
}

/* false: there is no such thread. */
static bool join_thread(struct call *call, json_t *mail, const char *thread)
{
    size_t i;
    const json_t *other;
    bool found = false;
    json_array_foreach(call->account->mails, i, other)
    {
        if (strcmp(js_str(other, "threadId", ""), thread) != 0)
            continue;
        found = true;
        if (belongs(mail, other)) {
            json_object_set_new(mail, "threadId", json_string(thread));
            break;
        }
    }
    return found;
}

static bool has_recipient(const json_t *mail)
{
    return strchr(mail_header(mail, "To"), '@') || strchr(mail_header(mail, "Cc"), '@') ||
           strchr(mail_header(mail, "Bcc"), '@');
}

void gmail_send(struct call *call)
{
    AUTOJSON json_t *body = gmail_is_own(call) ? google_body(call) : NULL;
    size_t bytes;
    AUTOJSON json_t *parsed = body ? read_raw(call, body, &bytes) : NULL;
    if (!parsed)
        return;
    const char *thread = js_str(body, "threadId", NULL);
    json_t *mail = make_mail(call, parsed, NULL);
    if (!has_recipient(mail)) {
        json_decref(mail);
        google_error(call, 400, "invalidArgument", "Recipient address required");
    } else if (thread && !join_thread(call, mail, thread)) {
        json_decref(mail);
        google_error(call, 404, "notFound", "Requested entity was not found.");
    } else {
        bool own = strcasestr(mail_header(mail, "To"), call->account->email) != NULL;
        mail_label(mail, "SENT", true);
        mail_label(mail, "INBOX", own);
        mail_label(mail, "UNREAD", own);
        add_mail(call, mail, bytes);
    }
}

/* Like a mail that came by SMTP, with the labels that the body names. */
void gmail_insert(struct call *call)
{
    AUTOJSON json_t *body = gmail_is_own(call) ? google_body(call) : NULL;
    size_t bytes, i;
    AUTOJSON json_t *parsed = body ? read_raw(call, body, &bytes) : NULL;
    const json_t *label, *labels = json_object_get(body, "labelIds");
    if (!parsed)
        return;
    if (!gmail_labels_exist(labels)) {
        google_error(call, 400, "invalidArgument", "Invalid label.");
        return;
    }
    json_t *mail = make_mail(call, parsed, js_str(body, "threadId", NULL));
    json_array_foreach(labels, i, label) mail_label(mail, json_string_value(label), true);
    add_mail(call, mail, bytes);
}
