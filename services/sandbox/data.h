/* Invented data: the same for the same email, around the day of `now_ms`. Pure. */
#ifndef MCPBUS_SANDBOX_DATA_H
#define MCPBUS_SANDBOX_DATA_H

#include "services/sandbox/accounts.h"

/* Mails, newest first: {id, threadId, labelIds, internalDate (ms), snippet, historyId,
 * headers: [{name, value}], _text, _html?, _attachments: [{filename, mimeType, data (base64url),
 * size}]}. */
json_t *data_mails(const struct account *account, int64_t now_ms);
/* Drive's files in the form of its API; content in _text, or _data (base64url) when it is binary
 * (_text then holds its words). */
json_t *data_files(const struct account *account, int64_t now_ms);
/* Calendar's events in the form of its API. */
json_t *data_events(const struct account *account, int64_t now_ms);

/* A number that depends on the account, the kind of item and its index alone. */
uint32_t data_number(const char *email, const char *kind, unsigned index);
/* `len` characters of an id, taken from `alphabet`; `id` has room for a NUL too. */
void data_id(const char *email, const char *kind, unsigned index, const char *alphabet, size_t len,
             char *id);
enum { MAIL_ID_LEN = 16, FILE_ID_LEN = 33, EVENT_ID_LEN = 26, ITEM_ID_SIZE = 48 };
void data_mail_id(const char *email, unsigned index, char id[ITEM_ID_SIZE]);
void data_file_id(const char *email, unsigned index, char id[ITEM_ID_SIZE]);
void data_event_id(const char *email, unsigned index, char id[ITEM_ID_SIZE]);

/* "2026-11-26T09:00:00.000Z"; and RFC 5322's form of a date. */
enum { TIME_TEXT_SIZE = 64 };
void time_rfc3339(int64_t ms, char text[TIME_TEXT_SIZE]);
void time_rfc5322(int64_t ms, char text[TIME_TEXT_SIZE]);
/* RFC 3339 with an offset, or a day alone (its midnight in UTC). */
MUST_CHECK enum err time_parse(const char *text, int64_t *ret_ms);

/* A mail in the form above; texts are copied. `from` and `to` are header values. */
json_t *mail_new(const char *id, const char *thread, int64_t date_ms, const char *from,
                 const char *to, const char *subject, const char *text);
void mail_add_header(json_t *mail, const char *name, const char *value);
const char *mail_header(const json_t *mail, const char *name); /* "" when absent */
void mail_label(json_t *mail, const char *label, bool on);
bool mail_has_label(const json_t *mail, const char *label);
void mail_attach(json_t *mail, const char *filename, const char *type, const void *data,
                 size_t len);

/* A file without content, owned by the account. `parent` NULL: the root folder. */
json_t *file_new(const struct account *account, const char *id, const char *name, const char *type,
                 const char *parent, int64_t created_ms, int64_t modified_ms);
/* Sets content, size and checksum; bytes that are no UTF-8 text are kept as data. */
void file_set_content(json_t *file, const void *data, size_t len);
/* The content's bytes; free() *ret_data. */
void file_content(const json_t *file, uint8_t **ret_data, size_t *ret_len);
/* The id of the account's root folder. */
void file_root_id(const struct account *account, char id[ITEM_ID_SIZE]);

/* Small real documents out of lines of text; free() the bytes. */
uint8_t *office_pdf(const char *text, size_t *ret_len);
uint8_t *office_docx(const char *text, size_t *ret_len);

#endif
