/* Calls of Google's APIs with the user's token. Blocking for the caller; one at a time. Every
 * failure comes with words that a user understands. */
#ifndef MCPBUS_GOOGLE_API_H
#define MCPBUS_GOOGLE_API_H

#include <jansson.h>
#include <stdbool.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"
#include "libcommon/loop.h"
#include "services/google/access.h"
#include "services/google/config.h"

struct api;

/* `config` and `loop` are borrowed and must live as long. */
struct api *api_new(struct loop *loop, const struct google_config *config);
void api_destroy(struct api **api_p);
/* Borrowed. */
const struct google_config *api_config(const struct api *api);

/* What was granted, as bits of scopes.h. */
uint32_t api_scopes(const struct api *api);

/* Who waits for the tool call. Any of the functions may be NULL. */
struct api_caller {
    bool (*cancelled)(void *arg); /* no answer is wanted any more */
    void (*progress)(void *arg, double done, double total, const char *text);
    void *arg;
};

/* A tool call begins: everything until the next begin must be done within API_TOTAL_MS (transfers
 * of files have API_TRANSFER_MS). */
enum { API_TOTAL_MS = 100 * 1000, API_TRANSFER_MS = 600 * 1000 };
void api_begin(struct api *api, const struct api_caller *caller);

/* Waits until `fd` can be read: ERR_OK; for `ms` at most, and no longer than the tool call has:
 * ERR_TIMEOUT; ERR_CANCELLED: no answer is wanted any more. */
MUST_CHECK enum err api_wait_readable(struct api *api, int fd, int64_t ms);

/* Long work says how far it is; `total` 0: not known. */
void api_progress(struct api *api, double done, double total, const char *text);

enum api_host { API_GMAIL, API_DRIVE, API_CALENDAR, API_DOCS, API_SHEETS };

struct api_request {
    const char *method;   /* NULL: GET */
    const char *path;     /* "/gmail/v1/users/me/labels" */
    const char *query;    /* as query_add makes it; may be NULL */
    const json_t *body;   /* may be NULL */
    const char *if_match; /* the etag that it must still have, else ERR_CONFLICT; NULL: any */
    enum api_host host;
    /* A POST or PATCH that does no harm when it is carried out twice. Without it one is sent again
     * only where Google has said that it did nothing (a limit, an expired token). */
    bool repeatable;
};

enum { API_WHY_SIZE = ACCESS_WHY_SIZE };

/* *ret_json is a new object. ERR_UNAUTHENTICATED, ERR_DENIED, ERR_NOT_FOUND, ERR_LIMITED,
 * ERR_INVALID (Google refused the request), ERR_CONFLICT, ERR_TIMEOUT, ERR_TOO_LARGE, ERR_UPSTREAM,
 * ERR_CANCELLED. */
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

/* Several requests to one host in one round trip (API_BATCH_MAX of them; more take more). Each has
 * an outcome of its own; those that met a passing error are sent again. Where there is no batch
 * endpoint they go one by one. The error is for all of them: then no outcome is filled. */
enum { API_BATCH_MAX = 50 };
struct api_outcome {
    enum err error;
    json_t *json; /* new, when ERR_OK */
    char why[API_WHY_SIZE];
};
MUST_CHECK enum err api_batch(struct api *api, const struct api_request *requests, size_t count,
                              struct api_outcome *ret_outcomes, char ret_why[API_WHY_SIZE]);
void api_outcomes_free(struct api_outcome *outcomes, size_t count);

/* Answers that are not JSON. `out` gets at most its own ceiling (else ERR_TOO_LARGE). */
MUST_CHECK enum err api_read(struct api *api, const struct api_request *request, struct buf *out,
                             char ret_why[API_WHY_SIZE]);
/* Streams an answer to an open file from its present position on; more than `max` bytes:
 * ERR_TOO_LARGE. Progress is told. */
MUST_CHECK enum err api_download(struct api *api, const struct api_request *request, int fd,
                                 int64_t max, int64_t *ret_size, char ret_why[API_WHY_SIZE]);

/* Uploads a file's content with its metadata: small ones in one multipart request, large ones in
 * pieces (a resumable session, which goes on after a passing error). The content is `data`, or when
 * that is NULL what `fd` has from its beginning. `request` has method (POST to create, PATCH to
 * replace), host, path ("/upload/drive/v3/files"), query (without uploadType) and body, the
 * metadata (NULL: {}). */
struct api_upload {
    struct api_request request;
    const char *mime_type;
    const void *data;
    int fd;
    int64_t size;
};
enum { API_UPLOAD_WHOLE_MAX = 4 * 1024 * 1024 };
MUST_CHECK enum err api_upload(struct api *api, const struct api_upload *upload, json_t **ret_json,
                               char ret_why[API_WHY_SIZE]);

/* May `id` stand in a path? 1 to 256 letters, digits, "-", "_". */
bool api_is_id(const char *id);

#endif
