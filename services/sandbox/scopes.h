/* The OAuth scopes that the sandbox knows, as bits. */
#ifndef MCPBUS_SANDBOX_SCOPES_H
#define MCPBUS_SANDBOX_SCOPES_H

#include <stddef.h>
#include <stdint.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"

/* SCOPE(NAME, what Google's answers call it, another name for it in requests, what it allows) */
#define GOOGLE_SCOPE "https://www.googleapis.com/auth/"
#define SCOPES(SCOPE)                                                                            \
    SCOPE(OPENID, "openid", NULL, "Know who you are on Google")                                  \
    SCOPE(EMAIL, GOOGLE_SCOPE "userinfo.email", "email", "See your email address")               \
    SCOPE(PROFILE, GOOGLE_SCOPE "userinfo.profile", "profile", "See your name and picture")      \
    SCOPE(MAIL, "https://mail.google.com/", NULL, "Read, write, send and delete all your email") \
    SCOPE(GMAIL_MODIFY, GOOGLE_SCOPE "gmail.modify", NULL,                                       \
          "Read, compose, send and trash your email")                                            \
    SCOPE(GMAIL_READONLY, GOOGLE_SCOPE "gmail.readonly", NULL,                                   \
          "View your email messages and settings")                                               \
    SCOPE(GMAIL_COMPOSE, GOOGLE_SCOPE "gmail.compose", NULL, "Manage drafts and send emails")    \
    SCOPE(GMAIL_SEND, GOOGLE_SCOPE "gmail.send", NULL, "Send email on your behalf")              \
    SCOPE(GMAIL_LABELS, GOOGLE_SCOPE "gmail.labels", NULL, "See and edit your email labels")     \
    SCOPE(DRIVE, GOOGLE_SCOPE "drive", NULL,                                                     \
          "See, edit, create and delete all of your Drive files")                                \
    SCOPE(DRIVE_READONLY, GOOGLE_SCOPE "drive.readonly", NULL,                                   \
          "See and download all your Drive files")                                               \
    SCOPE(DRIVE_FILE, GOOGLE_SCOPE "drive.file", NULL,                                           \
          "See, edit, create and delete the Drive files that you use with this app")             \
    SCOPE(DRIVE_METADATA, GOOGLE_SCOPE "drive.metadata", NULL,                                   \
          "View and manage metadata of your Drive files")                                        \
    SCOPE(DRIVE_METADATA_READONLY, GOOGLE_SCOPE "drive.metadata.readonly", NULL,                 \
          "See information about your Drive files")                                              \
    SCOPE(CALENDAR, GOOGLE_SCOPE "calendar", NULL, "See, edit and share all your calendars")     \
    SCOPE(CALENDAR_READONLY, GOOGLE_SCOPE "calendar.readonly", NULL,                             \
          "See and download your calendars")                                                     \
    SCOPE(CALENDAR_EVENTS, GOOGLE_SCOPE "calendar.events", NULL,                                 \
          "View and edit events on your calendars")                                              \
    SCOPE(CALENDAR_EVENTS_READONLY, GOOGLE_SCOPE "calendar.events.readonly", NULL,               \
          "View events on your calendars")                                                       \
    SCOPE(CALENDAR_EVENTS_OWNED, GOOGLE_SCOPE "calendar.events.owned", NULL,                     \
          "See, create, change and delete events on calendars that you own")                     \
    SCOPE(CALENDAR_EVENTS_OWNED_READONLY, GOOGLE_SCOPE "calendar.events.owned.readonly", NULL,   \
          "See the events on calendars that you own")                                            \
    SCOPE(CALENDAR_FREEBUSY, GOOGLE_SCOPE "calendar.freebusy", NULL,                             \
          "View your availability in your calendars")                                            \
    SCOPE(CALENDAR_EVENTS_FREEBUSY, GOOGLE_SCOPE "calendar.events.freebusy", NULL,               \
          "See the availability on calendars that you have access to")                           \
    SCOPE(DOCUMENTS, GOOGLE_SCOPE "documents", NULL,                                             \
          "See, edit and create your Google Docs documents")                                     \
    SCOPE(DOCUMENTS_READONLY, GOOGLE_SCOPE "documents.readonly", NULL,                           \
          "See your Google Docs documents")                                                      \
    SCOPE(SHEETS, GOOGLE_SCOPE "spreadsheets", NULL, "See, edit and create your Google Sheets")  \
    SCOPE(SHEETS_READONLY, GOOGLE_SCOPE "spreadsheets.readonly", NULL, "See your Google Sheets")

enum scope_index {
#define SCOPE(name, url, alias, text) SCOPE_INDEX_##name,
    SCOPES(SCOPE)
#undef SCOPE
        SCOPE_COUNT
};

enum scope {
#define SCOPE(name, url, alias, text) SCOPE_##name = 1 << SCOPE_INDEX_##name,
    SCOPES(SCOPE)
#undef SCOPE
};

struct scope_info {
    const char *url, *alias, *text;
};
extern const struct scope_info scope_infos[SCOPE_COUNT];

/* The bit of one name (`len` bytes), 0 when it is unknown. */
uint32_t scope_from_name(const char *name, size_t len);
/* A list separated by spaces; ERR_INVALID when it is empty or holds an unknown one. */
MUST_CHECK enum err scopes_parse(const char *text, uint32_t *ret_scopes);
/* Appends the names as Google's token endpoint gives them, separated by spaces. */
void scopes_write(uint32_t scopes, struct buf *out);

#endif
