/* Inside the Gmail tools: what several of them do. */
#ifndef MCPBUS_GOOGLE_GMAIL_H
#define MCPBUS_GOOGLE_GMAIL_H

#include <jansson.h>
#include <stdbool.h>

#include "services/google/api.h"
#include "services/google/result.h"

/* A message with its text and attachments. One whose parts are nested without end, as anyone may
 * send it, would be an answer that can't be read: Google leaves out what lies deeper. */
#define GMAIL_PART "mimeType,filename,headers,body"
#define GMAIL_FULL                                                                             \
    "format=full&fields=id,threadId,labelIds,snippet,payload(" GMAIL_PART ",parts(" GMAIL_PART \
    ",parts(" GMAIL_PART ",parts(" GMAIL_PART ",parts(" GMAIL_PART ",parts(" GMAIL_PART        \
    ",parts(" GMAIL_PART ",parts(" GMAIL_PART ",parts(" GMAIL_PART ",parts(" GMAIL_PART        \
    ",parts(" GMAIL_PART ",parts(" GMAIL_PART "))))))))))))"

enum { GMAIL_QUERY_MAX = 32 * 1024 };

/* "/gmail/v1/users/me/messages/ID" + `rest`; free() it. */
char *gmail_path(const char *id, const char *rest);

/* One message; `query` says the format and fields. Fails the result when there is none. */
MUST_CHECK enum err gmail_get(struct api *api, const char *id, const char *query,
                              json_t **ret_message, struct result *result);

/* A header's value with its encoded words decoded; free() it; NULL: there is none. */
char *gmail_header(const json_t *message, const char *name);

/* Reads the messages that a search finds, in batches: a list of 50 takes two round trips. */
struct gmail_walk {
    struct api *api;
    const char *search; /* as in Gmail's search box; may be "" */
    const char *query;  /* of each message: the format and fields */
    int64_t max;        /* messages to read */
    /* False: no more are wanted. */
    bool (*fn)(void *arg, const char *id, const json_t *message);
    void *arg;
};
/* What came before an error has been passed on. *ret_more: there are more, or may be. */
MUST_CHECK enum err gmail_walk(const struct gmail_walk *walk, bool *ret_more,
                               char ret_why[API_WHY_SIZE]);

/* Appends name:"value" to a search, where the value is not empty. */
void gmail_search_add(struct buf *search, const char *name, const char *value);
/* Appends name:YYYY/MM/DD; false when the value is neither empty nor a day. */
bool gmail_search_add_day(struct buf *search, const char *name, const char *value);

#endif
