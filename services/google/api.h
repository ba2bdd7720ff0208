/* Calls of Google's APIs with the user's token. Blocking; one at a time. Every failure comes with
 * words that a user understands. */
#ifndef MCPBUS_GOOGLE_API_H
#define MCPBUS_GOOGLE_API_H

#include <jansson.h>
#include <stdbool.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"
#include "services/google/access.h"
#include "services/google/config.h"

struct api;

/* `config` is borrowed and must live as long. */
struct api *api_new(const struct google_config *config);
void api_destroy(struct api **api_p);

/* A tool call begins: everything until the next begin must be done within API_TOTAL_MS. */
enum { API_TOTAL_MS = 100 * 1000 };
void api_begin(struct api *api);

enum api_host { API_GMAIL, API_DRIVE, API_CALENDAR };

struct api_request {
    const char *method; /* NULL: GET, which alone is repeated after passing errors */
    enum api_host host;
    const char *path;   /* "/gmail/v1/users/me/labels" */
    const char *query;  /* as query_add makes it; may be NULL */
    const json_t *body; /* may be NULL */
};

enum { API_WHY_SIZE = ACCESS_WHY_SIZE };

/* *ret_json is a new object. ERR_UNAUTHENTICATED, ERR_DENIED, ERR_NOT_FOUND, ERR_LIMITED,
 * ERR_INVALID (Google refused the request), ERR_TIMEOUT, ERR_TOO_LARGE, ERR_UPSTREAM. */
MUST_CHECK enum err api_call(struct api *api, const struct api_request *request, json_t **ret_json,
                             char ret_why[API_WHY_SIZE]);

/* Appends "name=value" to a query text, encoded. */
void query_add(struct buf *query, const char *name, const char *value);
void query_add_int(struct buf *query, const char *name, int64_t value);

/* Walks a list that comes in pages: calls fn with each entry of the arrays `items` until `max` of
 * them, the end, or fn's false. `page_size` names the parameter for the size of a page, at most
 * `page_max`. *ret_more: there was more. Entries that came before an error have been passed on. */
struct api_list {
    struct api_request request;
    const char *items, *page_size;
    int64_t page_max, max;
    bool (*fn)(void *arg, const json_t *item);
    void *arg;
};
MUST_CHECK enum err api_list(struct api *api, const struct api_list *list, bool *ret_more,
                             char ret_why[API_WHY_SIZE]);

/* May `id` stand in a path? 1 to 256 letters, digits, "-", "_". */
bool api_is_id(const char *id);

#endif
