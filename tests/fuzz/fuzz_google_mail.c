/* Mails as anyone may write them: a message's payload (JSON), headers with encoded words, and mails
 * that answer them, in which no header may be injected. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/mime_build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_payload(const char *text, size_t len)
{
    json_t *payload = NULL;
    struct buf out;
    if (js_parse(text, len, &payload, NULL) != ERR_OK)
        return;
    buf_init(&out, 4096);
    mime_text(payload, &out);
    if (!js_is_utf8(buf_text(&out), out.len))
        abort();
    json_decref(mime_attachments(payload));
    buf_fini(&out);
    json_decref(payload);
}

/* The text's lines are the mail's parts. */
static void answer(char *text)
{
    char *at = text, *parts[5] = {"", "", "", "", ""}, why[API_WHY_SIZE] = "", *made = NULL,
         *to = NULL;
    for (int i = 0; i < 5 && at; i++)
        parts[i] = strsep(&at, "\x1e");
    struct mime_mail mail = {.to = parts[0],
                             .subject = parts[1],
                             .body = parts[2],
                             .message_id = parts[3],
                             .references = parts[4]};
    if (mime_build(&mail, &made, &to, why) != ERR_OK)
        return;
    char *body = strstr(made, "\r\n\r\n");
    if (!body)
        abort();
    *body = '\0';
    if (strcasestr(made, "\nbcc:"))
        abort();
    free(made);
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_strndup((const char *)data, size);
    read_payload((const char *)data, size);
    char *header = mime_decode_header(text);
    if (js_is_utf8(text, strlen(text)) && !js_is_utf8(header, strlen(header)))
        abort();
    free(header);
    answer(text);
    free(text);
    return 0;
}
