/* Google's OAuth scopes as bits. Which of them each API method takes is in scopes_PRODUCT.h, after
 * the method pages of Google's own reference ("Authorization scopes: requires one of"). */
#ifndef MCPBUS_GOOGLE_SCOPES_H
#define MCPBUS_GOOGLE_SCOPES_H

#include <stdint.h>

#include "libcommon/err.h"

/* SCOPE(NAME, URL) */
#define G_AUTH "https://www.googleapis.com/auth/"
#define GOOGLE_SCOPES(SCOPE)                                                       \
    SCOPE(MAIL, "https://mail.google.com/")                                        \
    SCOPE(GMAIL_MODIFY, G_AUTH "gmail.modify")                                     \
    SCOPE(GMAIL_READONLY, G_AUTH "gmail.readonly")                                 \
    SCOPE(GMAIL_LABELS, G_AUTH "gmail.labels")                                     \
    SCOPE(GMAIL_COMPOSE, G_AUTH "gmail.compose")                                   \
    SCOPE(GMAIL_SEND, G_AUTH "gmail.send")                                         \
    SCOPE(GMAIL_METADATA, G_AUTH "gmail.metadata")                                 \
    SCOPE(DRIVE, G_AUTH "drive")                                                   \
    SCOPE(DRIVE_READONLY, G_AUTH "drive.readonly")                                 \
    SCOPE(DRIVE_FILE, G_AUTH "drive.file")                                         \
    SCOPE(DRIVE_METADATA, G_AUTH "drive.metadata")                                 \
    SCOPE(DRIVE_METADATA_READONLY, G_AUTH "drive.metadata.readonly")               \
    SCOPE(CALENDAR, G_AUTH "calendar")                                             \
    SCOPE(CALENDAR_READONLY, G_AUTH "calendar.readonly")                           \
    SCOPE(CALENDAR_EVENTS, G_AUTH "calendar.events")                               \
    SCOPE(CALENDAR_EVENTS_READONLY, G_AUTH "calendar.events.readonly")             \
    SCOPE(CALENDAR_EVENTS_OWNED, G_AUTH "calendar.events.owned")                   \
    SCOPE(CALENDAR_EVENTS_OWNED_READONLY, G_AUTH "calendar.events.owned.readonly") \
    SCOPE(CALENDAR_FREEBUSY, G_AUTH "calendar.freebusy")                           \
    SCOPE(CALENDAR_EVENTS_FREEBUSY, G_AUTH "calendar.events.freebusy")             \
    SCOPE(DOCUMENTS, G_AUTH "documents")                                           \
    SCOPE(DOCUMENTS_READONLY, G_AUTH "documents.readonly")                         \
    SCOPE(SPREADSHEETS, G_AUTH "spreadsheets")                                     \
    SCOPE(SPREADSHEETS_READONLY, G_AUTH "spreadsheets.readonly")

enum scope_index {
#define SCOPE(name, url) SCOPE_INDEX_##name,
    GOOGLE_SCOPES(SCOPE)
#undef SCOPE
        SCOPE_COUNT
};

enum scope {
#define SCOPE(name, url) SCOPE_##name = 1 << SCOPE_INDEX_##name,
    GOOGLE_SCOPES(SCOPE)
#undef SCOPE
};

/* The bits of a JSON array of scope URLs. Unknown ones allow nothing here and are skipped; NULL or
 * empty text is no scope at all. ERR_INVALID: not an array of texts. */
MUST_CHECK enum err scopes_parse(const char *json, uint32_t *ret_scopes);

/* "gmail.modify or gmail.readonly", for messages; free() it. */
char *scopes_names(uint32_t scopes);

#endif
