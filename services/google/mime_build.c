#include "services/google/mime_build.h"

#include <gmime/gmime.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { HEADER_MAX = 8192, IDS_MAX = 20, ID_MAX = 250 };

static void begin(void)
{
    static bool begun;
    if (!begun)
        g_mime_init();
    begun = true;
}

char *mime_decode_header(const char *value)
{
    begin();
    if (!strstr(value, "=?"))
        return mem_strdup(value);
    AUTOFREE char *head = mem_strndup(value, strnlen(value, HEADER_MAX));
    char *decoded = g_mime_utils_header_decode_text(NULL, head);
    json_t *text = js_string_capped(decoded, strlen(decoded), HEADER_MAX, "…");
    char *copy = mem_strdup(json_string_value(text));
    json_decref(text);
    g_free(decoded);
    return copy;
}

static bool is_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

/* Recipients */

static bool is_address(const char *address)
{
    const char *at = strrchr(address, '@');
    for (const char *c = address; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr("<>,;\"()", *c))
            return false;
    return at && at != address && at[1] && strlen(address) <= 320;
}

/* Appends the list's mailboxes to `to`. ERR_INVALID: something else is among them. */
static enum err add_mailboxes(InternetAddressList *to, InternetAddressList *list, char *ret_why)
{
    int count = internet_address_list_length(list);
    for (int i = 0; i < count; i++) {
        InternetAddress *one = internet_address_list_get_address(list, i);
        const char *address =
            INTERNET_ADDRESS_IS_MAILBOX(one) ? INTERNET_ADDRESS_MAILBOX(one)->addr : NULL;
        if (!address || !is_address(address)) {
            snprintf(ret_why, API_WHY_SIZE, "\"%.200s\" is not an email address.",
                     address     ? address
                     : one->name ? one->name
                                 : "");
            return ERR_INVALID;
        }
        internet_address_list_add(to, one);
    }
    return ERR_OK;
}

/* Many write semicolons between addresses, as some mail programs do. *ret_count: how many parts
 * there are that aren't empty. */
static char *with_commas(const char *text, int *ret_count)
{
    char *copy = mem_strdup(text);
    bool quoted = false, filled = false;
    *ret_count = 0;
    for (char *c = copy; *c; c++) {
        bool between = !quoted && (*c == ';' || *c == ',');
        if (between)
            *c = ',';
        if (*c == '"')
            quoted = !quoted;
        *ret_count += !between && *c != ' ' && !filled;
        filled = !between && (filled || *c != ' ');
        if (*c == '\\' && c[1])
            c++;
    }
    return copy;
}

static enum err set_recipients(GMimeMessage *message, const char *text, char *ret_why)
{
    InternetAddressList *list = NULL;
    int parts = 0;
    AUTOFREE char *separated = with_commas(text, &parts);
    bool good = is_line(text) && strlen(text) <= HEADER_MAX;
    if (good)
        list = internet_address_list_parse(NULL, separated);
    int count = list ? internet_address_list_length(list) : 0;
    enum err err = ERR_INVALID;
    if (count == 0 || count < parts) /* the parser stops at what it doesn't understand */
        snprintf(ret_why, API_WHY_SIZE, "\"%.200s\" is not an email address.", good ? text : "…");
    else if (count > MIME_RECIPIENTS_MAX)
        snprintf(ret_why, API_WHY_SIZE, "A mail may have at most %d recipients.",
                 MIME_RECIPIENTS_MAX);
    else
        err = add_mailboxes(g_mime_message_get_addresses(message, GMIME_ADDRESS_TYPE_TO), list,
                            ret_why);
    if (list)
        g_object_unref(list);
    return err;
}

static char *recipients(GMimeMessage *message)
{
    struct buf out;
    InternetAddressList *list = g_mime_message_get_addresses(message, GMIME_ADDRESS_TYPE_TO);
    int count = internet_address_list_length(list);
    buf_init(&out, (size_t)4 * HEADER_MAX);
    for (int i = 0; i < count; i++) {
        InternetAddress *one = internet_address_list_get_address(list, i);
        buf_printf(&out, "%s%s", i ? ", " : "", INTERNET_ADDRESS_MAILBOX(one)->addr);
    }
    return buf_steal(&out);
}

/* Threads (RFC 5322 §3.6.4) */

/* Takes the next "<id>" of the text; false: there is none. */
static bool next_id(const char **text, const char **ret_id, size_t *ret_len)
{
    for (const char *at = *text; (at = strchr(at, '<')); at++) {
        size_t len = strcspn(at, "> \t\r\n");
        if (at[len] != '>' || len < 2 || len > ID_MAX)
            continue;
        *ret_id = at;
        *ret_len = len + 1;
        *text = at + len + 1;
        return true;
    }
    return false;
}

static unsigned count_ids(const char *text)
{
    const char *id;
    size_t len;
    unsigned count = 0;
    while (next_id(&text, &id, &len))
        count++;
    return count;
}

/* Of a long thread the first and the last ones stay. */
static void add_ids(struct buf *out, const char *text)
{
    const char *id;
    size_t len;
    unsigned count = count_ids(text);
    for (unsigned i = 0; next_id(&text, &id, &len); i++) {
        if (i > 0 && count > IDS_MAX && i < count - (IDS_MAX - 1))
            continue;
        buf_add_str(out, out->len ? " " : "");
        buf_add(out, id, len);
    }
}

static void set_thread(GMimeMessage *message, const struct mime_mail *mail)
{
    struct buf parent, all;
    if (!mail->message_id)
        return;
    buf_init(&parent, HEADER_MAX);
    buf_init(&all, HEADER_MAX);
    add_ids(&parent, mail->message_id);
    add_ids(&all, mail->references ? mail->references : "");
    if (parent.len) {
        buf_printf(&all, "%s%s", all.len ? " " : "", buf_text(&parent));
        g_mime_object_set_header(GMIME_OBJECT(message), "In-Reply-To", buf_text(&parent), NULL);
        g_mime_object_set_header(GMIME_OBJECT(message), "References", buf_text(&all), NULL);
    }
    buf_fini(&parent);
    buf_fini(&all);
}

/* Lines end with CR LF (RFC 2046 §4.1.1). */
static char *canonical(const char *text)
{
    struct buf out;
    buf_init(&out, 2 * strlen(text) + 16);
    for (; *text; text++) {
        if (*text == '\r' && text[1] == '\n')
            continue;
        if (*text == '\n' || *text == '\r')
            buf_add_str(&out, "\r\n");
        else
            buf_add_char(&out, *text);
    }
    return buf_steal(&out);
}

static void set_body(GMimeMessage *message, const char *text)
{
    AUTOFREE char *body = canonical(text);
    GMimeTextPart *part = g_mime_text_part_new_with_subtype("plain");
    g_mime_text_part_set_charset(part, "utf-8");
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(body, strlen(body));
    GMimeDataWrapper *content =
        g_mime_data_wrapper_new_with_stream(stream, GMIME_CONTENT_ENCODING_DEFAULT);
    g_mime_part_set_content(GMIME_PART(part), content);
    GMimeContentEncoding encoding =
        g_mime_part_get_best_content_encoding(GMIME_PART(part), GMIME_ENCODING_CONSTRAINT_7BIT);
    g_mime_part_set_content_encoding(GMIME_PART(part), encoding);
    g_mime_message_set_mime_part(message, GMIME_OBJECT(part));
    g_object_unref(content);
    g_object_unref(stream);
    g_object_unref(part);
}

static char *write_message(GMimeMessage *message)
{
    GMimeFormatOptions *format = g_mime_format_options_new();
    g_mime_format_options_set_newline_format(format, GMIME_NEWLINE_FORMAT_DOS);
    char *text = g_mime_object_to_string(GMIME_OBJECT(message), format);
    char *copy = mem_strdup(text ? text : "");
    g_free(text);
    g_mime_format_options_free(format);
    return copy;
}

enum err mime_build(const struct mime_mail *mail, char **ret_text, char **ret_to,
                    char ret_why[API_WHY_SIZE])
{
    begin();
    if (!is_line(mail->subject)) {
        snprintf(ret_why, API_WHY_SIZE, "\"subject\" must be one line.");
        return ERR_INVALID;
    }
    if (strlen(mail->body) > MIME_BODY_MAX) {
        snprintf(ret_why, API_WHY_SIZE, "The text is too long: at most 2 MiB can be sent.");
        return ERR_INVALID;
    }
    GMimeMessage *message = g_mime_message_new(TRUE);
    enum err err = set_recipients(message, mail->to, ret_why);
    if (!err) {
        g_mime_message_set_subject(message, mail->subject, "utf-8");
        set_thread(message, mail);
        set_body(message, mail->body);
        *ret_text = write_message(message);
        *ret_to = recipients(message);
    }
    g_object_unref(message);
    return err;
}
