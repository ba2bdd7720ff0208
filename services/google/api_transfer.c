#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/api_answer.h"
#include "services/google/api_internal.h"

enum {
    PIECE = 8 * 1024 * 1024, /* a multiple of 256 KiB, as Google asks */
    PIECE_MS = 120 * 1000,
    METADATA_MAX = 256 * 1024,
    STALLS_MAX = 3,
};

static void allow_transfer(struct api *api)
{
    api->deadline_ms = api_now_ms() + API_TRANSFER_MS;
}

/* Downloads */

struct sink {
    struct api *api;
    struct buf *buf; /* or, when NULL: */
    int fd;
    off_t begin;
    int64_t size, max;
    bool too_large, failed;
};

static bool write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool sink_take(void *arg, const char *data, size_t len)
{
    struct sink *sink = arg;
    if ((int64_t)len > sink->max - sink->size) {
        sink->too_large = true;
        return false;
    }
    if (sink->buf)
        buf_add(sink->buf, data, len);
    else if (!write_all(sink->fd, data, len))
        sink->failed = true;
    sink->size += (int64_t)len;
    if (sink->size / PIECE != (sink->size - (int64_t)len) / PIECE)
        api_progress(sink->api, (double)sink->size, 0, "downloading");
    return !sink->failed;
}

/* A repeated download begins anew. */
static bool sink_restart(void *arg)
{
    struct sink *sink = arg;
    if (sink->too_large || sink->failed)
        return false;
    sink->size = 0;
    if (sink->buf)
        return buf_reset(sink->buf), true;
    return ftruncate(sink->fd, sink->begin) == 0 &&
           lseek(sink->fd, sink->begin, SEEK_SET) == sink->begin;
}

static enum err download(struct api *api, const struct api_request *request, struct sink *sink,
                         char *ret_why)
{
    struct fetched fetched;
    AUTOFREE char *url = api_url(api, request->host, request->path, request->query);
    struct exchange exchange = {.method = "GET",
                                .url = url,
                                .accept = "*/*",
                                .answer_max = SIZE_MAX / 2,
                                .timeout_ms = API_TRANSFER_MS,
                                .on_data = sink_take,
                                .restart = sink_restart,
                                .arg = sink};
    enum err err = api_exchange(api, &exchange, &fetched, ret_why);
    if (!err)
        fetched_free(&fetched);
    if (err && sink->too_large) {
        snprintf(ret_why, API_WHY_SIZE, "It is larger than %lld bytes, the most that is read here.",
                 (long long)sink->max);
        return ERR_TOO_LARGE;
    }
    if (err && sink->failed) {
        snprintf(ret_why, API_WHY_SIZE, "The file can't be written on this machine.");
        return ERR_INTERNAL;
    }
    return err;
}

enum err api_read(struct api *api, const struct api_request *request, struct buf *out,
                  char ret_why[API_WHY_SIZE])
{
    struct sink sink = {.api = api, .buf = out, .max = (int64_t)(out->max - out->len)};
    return download(api, request, &sink, ret_why);
}

enum err api_download(struct api *api, const struct api_request *request, int fd, int64_t max,
                      int64_t *ret_size, char ret_why[API_WHY_SIZE])
{
    struct sink sink = {.api = api, .fd = fd, .begin = lseek(fd, 0, SEEK_CUR), .max = max};
    allow_transfer(api);
    enum err err = download(api, request, &sink, ret_why);
    if (!err)
        *ret_size = sink.size;
    return err;
}

/* Uploads */

/* Bytes from..from+len of the content; free() them when *ret_owned. NULL: the file can't be read,
 * or has become shorter. */
static const void *content(const struct api_upload *upload, int64_t from, size_t len,
                           void **ret_owned)
{
    *ret_owned = NULL;
    if (upload->data)
        return (const char *)upload->data + from;
    char *piece = mem_alloc(len + 1);
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(upload->fd, piece + got, len - got, (off_t)(from + (int64_t)got));
        if (n <= 0) {
            free(piece);
            return NULL;
        }
        got += (size_t)n;
    }
    *ret_owned = piece;
    return piece;
}

static enum err unreadable(char *ret_why)
{
    snprintf(ret_why, API_WHY_SIZE, "The file can't be read, or has changed meanwhile.");
    return ERR_INTERNAL;
}

static char *upload_url(const struct api *api, const struct api_upload *upload, const char *type)
{
    const char *query = upload->request.query ? upload->request.query : "";
    AUTOFREE char *whole = mem_printf("uploadType=%s%s%s", type, *query ? "&" : "", query);
    return api_url(api, upload->request.host, upload->request.path, whole);
}

static char *metadata_text(const struct api_upload *upload)
{
    return upload->request.body ? js_dump(upload->request.body) : mem_strdup("{}");
}

static const char *method_of(const struct api_upload *upload)
{
    return upload->request.method ? upload->request.method : "POST";
}

static enum err upload_whole(struct api *api, const struct api_upload *upload, json_t **ret_json,
                             char *ret_why)
{
    struct buf body;
    void *owned;
    const void *data = content(upload, 0, (size_t)upload->size, &owned);
    if (!data)
        return unreadable(ret_why);
    AUTOFREE char *metadata = metadata_text(upload);
    AUTOFREE char *url = upload_url(api, upload, "multipart");
    AUTOFREE char *boundary =
        mem_printf("upload_%016llx%016llx", (unsigned long long)crypto_random_u64(),
                   (unsigned long long)crypto_random_u64());
    AUTOFREE char *type = mem_printf("multipart/related; boundary=%s", boundary);
    buf_init(&body, (size_t)upload->size + METADATA_MAX);
    buf_printf(&body,
               "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n%s\r\n--%s\r\n"
               "Content-Type: %s\r\n\r\n",
               boundary, metadata, boundary, upload->mime_type);
    buf_add(&body, data, (size_t)upload->size);
    buf_printf(&body, "\r\n--%s--\r\n", boundary);
    free(owned);
    struct exchange exchange = {.method = method_of(upload),
                                .url = url,
                                .content_type = type,
                                .body = buf_text(&body),
                                .len = body.len,
                                .timeout_ms = PIECE_MS,
                                .repeatable = upload->request.repeatable};
    enum err err = buf_check(&body);
    if (err)
        snprintf(ret_why, API_WHY_SIZE, "The file's description is too long.");
    else
        err = api_exchange_json(api, &exchange, ret_json, ret_why);
    buf_fini(&body);
    return err;
}

/* The session's URL gets the token with each piece: it must be Google's, or where the API is. */
static bool is_trusted(const struct api *api, const char *url)
{
    static const char google[] = "https://www.googleapis.com/";
    AUTOFREE char *base = api_url(api, API_DRIVE, "/", NULL);
    return strncmp(url, base, strlen(base)) == 0 ||
           (!api->config->api_base && strncmp(url, google, strlen(google)) == 0);
}

/* *ret_url is the session's; free() it. */
static enum err begin_session(struct api *api, const struct api_upload *upload, char **ret_url,
                              char *ret_why)
{
    struct fetched fetched;
    AUTOFREE char *metadata = metadata_text(upload);
    AUTOFREE char *url = upload_url(api, upload, "resumable");
    struct exchange exchange = {.method = method_of(upload),
                                .url = url,
                                .content_type = "application/json; charset=UTF-8",
                                .body = metadata,
                                .len = strlen(metadata),
                                .repeatable = true /* only the session's end makes a file */};
    enum err err = api_exchange(api, &exchange, &fetched, ret_why);
    if (err)
        return err;
    if (is_trusted(api, fetched.answer.location)) {
        *ret_url = mem_strdup(fetched.answer.location);
    } else {
        snprintf(ret_why, API_WHY_SIZE, "Google's answer to the upload could not be understood.");
        err = ERR_UPSTREAM;
    }
    fetched_free(&fetched);
    return err;
}

/* "bytes=0-8388607": how much has arrived; none: nothing. */
static int64_t arrived(const char *range)
{
    const char *dash = strncmp(range, "bytes=0-", 8) == 0 ? range + 8 : NULL;
    size_t digits = dash ? strspn(dash, "0123456789") : 0;
    return digits && digits < 18 ? strtoll(dash, NULL, 10) + 1 : 0;
}

/* Sends the piece at *at and moves it to behind what has arrived; at the end *ret_json is the
 * file's. */
static enum err send_piece(struct api *api, const struct api_upload *upload, const char *url,
                           int64_t *at, json_t **ret_json, char *ret_why)
{
    void *owned;
    struct fetched fetched;
    int64_t left = upload->size - *at;
    size_t len = left < PIECE ? (size_t)left : (size_t)PIECE;
    const void *data = content(upload, *at, len, &owned);
    if (!data)
        return unreadable(ret_why);
    AUTOFREE char *range = mem_printf("bytes %lld-%lld/%lld", (long long)*at,
                                      (long long)(*at + (int64_t)len - 1), (long long)upload->size);
    struct exchange exchange = {.method = "PUT",
                                .url = url,
                                .content_type = upload->mime_type,
                                .content_range = range,
                                .body = data,
                                .len = len,
                                .timeout_ms = PIECE_MS};
    enum err err = api_exchange(api, &exchange, &fetched, ret_why);
    free(owned);
    if (err)
        return err;
    if (fetched.answer.status == 308)
        *at = arrived(fetched.answer.range);
    else
        err = api_read_json(&fetched.answer, ret_json, ret_why);
    fetched_free(&fetched);
    return err;
}

static enum err upload_pieces(struct api *api, const struct api_upload *upload, json_t **ret_json,
                              char *ret_why)
{
    AUTOFREE char *url = NULL;
    json_t *json = NULL;
    int64_t at = 0;
    enum err err = begin_session(api, upload, &url, ret_why);
    for (int stalls = 0; !err && !json && stalls < STALLS_MAX;) {
        int64_t before = at;
        api_progress(api, (double)at, (double)upload->size, "uploading");
        err = send_piece(api, upload, url, &at, &json, ret_why);
        stalls = at > before && at < upload->size ? 0 : stalls + 1;
    }
    if (!err && !json) {
        snprintf(ret_why, API_WHY_SIZE, "Google did not take the whole file. Try again later.");
        return ERR_UPSTREAM;
    }
    if (!err)
        *ret_json = json;
    return err;
}

enum err api_upload(struct api *api, const struct api_upload *upload, json_t **ret_json,
                    char ret_why[API_WHY_SIZE])
{
    allow_transfer(api);
    for (const char *c = upload->mime_type; *c; c++) {
        if (*c < ' ' || *c > '~') {
            snprintf(ret_why, API_WHY_SIZE, "That is not a MIME type.");
            return ERR_INVALID;
        }
    }
    if (upload->size <= API_UPLOAD_WHOLE_MAX)
        return upload_whole(api, upload, ret_json, ret_why);
    return upload_pieces(api, upload, ret_json, ret_why);
}
