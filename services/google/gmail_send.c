#include <stdio.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/addresses.h"
#include "services/google/gmail.h"
#include "services/google/mime_build.h"
#include "services/google/tools.h"

#define REPLY_FIELDS                                                                   \
    "format=metadata&metadataHeaders=From&metadataHeaders=Reply-To&metadataHeaders=To" \
    "&metadataHeaders=Subject&metadataHeaders=Message-ID&metadataHeaders=References"   \
    "&fields=id,threadId,labelIds,payload/headers"

static void send(struct api *api, const struct mime_mail *mail, const char *thread,
                 struct result *result)
{
    char why[API_WHY_SIZE] = "";
    AUTOFREE char *text = NULL, *to = NULL;
    AUTOJSON json_t *answer = NULL;
    if (mime_build(mail, &text, &to, why) != ERR_OK) {
        result_fail(result, "%s", why);
        return;
    }
    AUTOFREE char *raw = crypto_base64url_encode(text, strlen(text));
    AUTOJSON json_t *body = json_pack("{s:s,s:s*}", "raw", raw, "threadId", thread);
    struct api_request request = {.method = "POST",
                                  .host = API_GMAIL,
                                  .path = "/gmail/v1/users/me/messages/send",
                                  .body = body};
    if (api_call(api, &request, &answer, why) != ERR_OK) {
        result_fail(result, "%s", why);
        return;
    }
    buf_add_str(&result->text, "Sent to ");
    text_add_line(&result->text, to, 4000);
    buf_add_str(&result->text, "\nSubject: ");
    text_add_line(&result->text, mail->subject, 500);
    buf_add_str(&result->text, "\nID: ");
    text_add_line(&result->text, js_str(answer, "id", ""), 256);
    buf_add_str(&result->text, "\nThread: ");
    text_add_line(&result->text, js_str(answer, "threadId", ""), 256);
    buf_add_char(&result->text, '\n');
    result->structured = json_object();
    json_set_line(result->structured, "id", js_str(answer, "id", ""), 256);
    json_set_line(result->structured, "threadId", js_str(answer, "threadId", ""), 256);
    json_set_line(result->structured, "to", to, 4000);
    json_set_line(result->structured, "subject", mail->subject, 500);
}

void gmail_send_message(struct api *api, const json_t *args, struct result *result)
{
    struct mime_mail mail = {.to = js_str(args, "to", ""),
                             .subject = js_str(args, "subject", ""),
                             .body = js_str(args, "body", "")};
    send(api, &mail, NULL, result);
}

static bool has_label(const json_t *message, const char *wanted)
{
    size_t i;
    const json_t *label;
    json_array_foreach(json_object_get(message, "labelIds"), i, label)
    {
        if (json_is_string(label) && strcmp(json_string_value(label), wanted) == 0)
            return true;
    }
    return false;
}

/* Whom an answer goes to (RFC 5322 §3.6.2, 3.6.3): to whom the sender asks for, else the sender;
 * for a message of the user's own, to those whom it went to. Not decoded: in an encoded word there
 * may stand a comma. */
static const char *recipient_header(const json_t *message)
{
    const json_t *payload = json_object_get(message, "payload");
    const char *reply_to = mime_header(payload, "Reply-To");
    if (has_label(message, "SENT") && mime_header(payload, "To"))
        return mime_header(payload, "To");
    return reply_to && *reply_to ? reply_to : mime_header(payload, "From");
}

/* Many programs write names without the quotation marks that "[", ":" or "," take (RFC 5322 §3.2.3,
 * 3.4): then the address alone is taken. What is left of a folded line's white space becomes
 * spaces. NULL: there is no recipient; free() it. */
static char *recipient(const json_t *message)
{
    char address[ADDRESS_SIZE];
    const char *header = recipient_header(message);
    if (!header)
        return NULL;
    size_t name = strcspn(header, "<");
    bool one = header[name] && !strchr(header + name + 1, '<') && strcspn(header, "\"@") >= name;
    if (one && strcspn(header, "[]:,;") < name && address_read(header, address))
        return mem_strdup(address);
    char *copy = mem_strdup(header);
    for (char *c = copy; *c; c++)
        if (strchr("\t\r\n", *c))
            *c = ' ';
    return copy;
}

static char *reply_subject(const json_t *message)
{
    AUTOFREE char *subject = gmail_header(message, "Subject");
    if (!subject)
        return mem_strdup("Re:");
    for (char *c = subject; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    return strncasecmp(subject, "re:", 3) == 0 ? mem_strdup(subject)
                                               : mem_printf("Re: %s", subject);
}

void gmail_reply_to_message(struct api *api, const json_t *args, struct result *result)
{
    AUTOJSON json_t *message = NULL;
    if (gmail_get(api, js_str(args, "message_id", ""), REPLY_FIELDS, &message, result) != ERR_OK)
        return;
    const json_t *payload = json_object_get(message, "payload");
    AUTOFREE char *subject = reply_subject(message);
    AUTOFREE char *to = recipient(message);
    struct mime_mail mail = {.to = to,
                             .subject = subject,
                             .body = js_str(args, "body", ""),
                             .message_id = mime_header(payload, "Message-ID"),
                             .references = mime_header(payload, "References")};
    if (!mail.to || !*mail.to)
        result_fail(result, "The message does not say from whom it is, so it can't be answered.");
    else
        send(api, &mail, js_str(message, "threadId", NULL), result);
}
