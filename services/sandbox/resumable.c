#include "services/sandbox/resumable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/form.h"

enum { ID_LEN = 22, GRAIN = 256 * 1024, HOST_MAX = 200 };

struct session {
    char id[ID_LEN + 1];
    char email[EMAIL_MAX + 1];
    char file[ITEM_ID_SIZE]; /* "": a new one */
    char type[128];
    json_t *metadata;
    struct buf data;
};

struct sessions {
    struct session slots[SANDBOX_UPLOADS_MAX];
    unsigned next; /* the oldest makes room */
};

static void forget(struct session *session)
{
    json_decref(session->metadata);
    buf_fini(&session->data);
    *session = (struct session){0};
}

void resumable_drop(struct sandbox *sandbox)
{
    if (!sandbox->uploads)
        return;
    for (int i = 0; i < SANDBOX_UPLOADS_MAX; i++)
        forget(&sandbox->uploads->slots[i]);
    free(sandbox->uploads);
    sandbox->uploads = NULL;
}

static struct session *find(struct sandbox *sandbox, const char *id)
{
    for (int i = 0; id && *id && sandbox->uploads && i < SANDBOX_UPLOADS_MAX; i++)
        if (strcmp(sandbox->uploads->slots[i].id, id) == 0)
            return &sandbox->uploads->slots[i];
    return NULL;
}

static struct session *make_session(struct call *call, const char *file, json_t *metadata)
{
    const char *type = http_request_header(call->request, "X-Upload-Content-Type");
    if (!call->sandbox->uploads)
        call->sandbox->uploads = mem_alloc(sizeof(struct sessions));
    struct sessions *sessions = call->sandbox->uploads;
    struct session *session = &sessions->slots[sessions->next++ % SANDBOX_UPLOADS_MAX];
    forget(session);
    uint8_t random[16];
    crypto_random(random, sizeof(random));
    AUTOFREE char *id = crypto_base64url_encode(random, sizeof(random));
    snprintf(session->id, sizeof(session->id), "%s", id);
    snprintf(session->email, sizeof(session->email), "%s", call->account->email);
    snprintf(session->file, sizeof(session->file), "%s", file ? file : "");
    snprintf(session->type, sizeof(session->type), "%s", type ? type : "application/octet-stream");
    session->metadata = metadata;
    buf_init(&session->data, FILE_CONTENT_MAX);
    return session;
}

/* The session's address carries the caller's ?fields on, as Google's does. */
static char *address_of(struct call *call, const struct session *session)
{
    const char *host = http_request_header(call->request, "Host");
    const char *fields = call_query(call, "fields");
    struct buf out;
    buf_init(&out, 16384);
    buf_printf(&out, "http://%.*s%s?uploadType=resumable&upload_id=%s", HOST_MAX,
               host ? host : "127.0.0.1", call->path, session->id);
    if (fields) {
        buf_add_str(&out, "&fields=");
        url_encode(&out, fields);
    }
    return buf_steal(&out);
}

void resumable_begin(struct call *call, const char *file)
{
    const char *size = http_request_header(call->request, "X-Upload-Content-Length");
    json_t *metadata = google_body(call);
    if (!metadata)
        return;
    if (size && strtoull(size, NULL, 10) > FILE_CONTENT_MAX) {
        json_decref(metadata);
        google_error(call, 413, "uploadTooLarge", "The upload is too large for the sandbox.");
        return;
    }
    const struct session *session = make_session(call, file, metadata);
    AUTOFREE char *address = address_of(call, session);
    const struct http_header headers[] = {
        {"Location", address}, {"X-GUploader-UploadID", session->id}, {NULL, NULL}};
    call_respond(call, 200, "text/html; charset=UTF-8", "", 0, headers);
}

/* A decimal number, moving `at` behind it. */
static bool read_size(const char **at, size_t *ret_size)
{
    size_t digits = strspn(*at, "0123456789");
    if (digits == 0 || digits > 12)
        return false;
    *ret_size = strtoull(*at, NULL, 10);
    *at += digits;
    return true;
}

enum err upload_range_read(const char *text, size_t len, struct upload_range *ret_range)
{
    struct upload_range range = {.count = len, .total = len};
    size_t last = 0;
    if (!text) {
        *ret_range = range;
        return ERR_OK;
    }
    if (strncmp(text, "bytes ", 6) != 0)
        return ERR_INVALID;
    text += 6;
    if (*text == '*') {
        range.query = true;
        text++;
    } else if (!read_size(&text, &range.first) || *text++ != '-' || !read_size(&text, &last) ||
               last < range.first || last - range.first + 1 != len) {
        return ERR_INVALID;
    }
    if (*text++ != '/')
        return ERR_INVALID;
    if (strcmp(text, "*") == 0)
        range.total = SIZE_MAX;
    else if (!read_size(&text, &range.total) || *text)
        return ERR_INVALID;
    if ((range.query && len) || (!range.query && last >= range.total))
        return ERR_INVALID;
    *ret_range = range;
    return ERR_OK;
}

static void reply_incomplete(struct call *call, const struct session *session)
{
    char range[64];
    snprintf(range, sizeof(range), "bytes=0-%zu", session->data.len ? session->data.len - 1 : 0);
    const struct http_header headers[] = {{"X-GUploader-UploadID", session->id},
                                          {session->data.len ? "Range" : NULL, range},
                                          {NULL, NULL}};
    call_respond(call, 308, NULL, "", 0, headers);
}

static void finish(struct call *call, struct session *session)
{
    if (!*session->file) {
        drive_upload_new(call, session->metadata, session->type, buf_text(&session->data),
                         session->data.len);
    } else {
        json_t *file = drive_own_file(call, session->file);
        if (file)
            drive_upload_over(call, file, session->metadata, buf_text(&session->data),
                              session->data.len);
    }
    forget(session);
}

/* False after an error answer. */
static bool take_piece(struct call *call, struct session *session, const struct upload_range *range,
                       const char *body)
{
    bool last = range->first + range->count == range->total;
    if (range->first > session->data.len) {
        google_error(call, 400, "badRequest", "Invalid request. The piece leaves a gap.");
        return false;
    }
    if (!last && range->count % GRAIN != 0) {
        google_error(call, 400, "badRequest",
                     "Invalid request. Chunks must be multiples of 262144 bytes.");
        return false;
    }
    size_t known = session->data.len - range->first;
    if (known < range->count)
        buf_add(&session->data, body + known, range->count - known);
    if (buf_check(&session->data) == ERR_OK)
        return true;
    google_error(call, 413, "uploadTooLarge", "The upload is too large for the sandbox.");
    return false;
}

/* PUT of a piece. The session's address is the credential: Google asks for no token here. */
void drive_upload_piece(struct call *call)
{
    size_t len;
    const char *body = call_body(call, &len);
    struct upload_range range;
    struct session *session = find(call->sandbox, call_query(call, "upload_id"));
    call->account = session ? accounts_find(call->sandbox->accounts, session->email) : NULL;
    if (!call->account) {
        google_error(call, 404, "notFound", "There is no such upload.");
        return;
    }
    accounts_fill(call->sandbox->accounts, call->account, call->now_ms);
    call->scopes = UINT32_MAX;
    if (upload_range_read(http_request_header(call->request, "Content-Range"), len, &range)) {
        google_error(call, 400, "badRequest", "Failed to parse Content-Range header.");
        return;
    }
    if (!range.query && !take_piece(call, session, &range, body))
        return;
    if (session->data.len == range.total)
        finish(call, session);
    else
        reply_incomplete(call, session);
}
