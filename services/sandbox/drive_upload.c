/* Drive's API v3: uploads, uploadType=media and multipart (RFC 2387); resumable ones are begun
 * here. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/drive.h"
#include "services/sandbox/resumable.h"
#include "services/sandbox/upload.h"

/* The parts of the request, or false after a 400. metadata is the caller's; the rest borrowed. */
static bool read_upload(struct call *call, json_t **ret_metadata, struct upload *ret_upload)
{
    size_t len;
    const char *body = call_body(call, &len);
    const char *kind = call_query(call, "uploadType");
    const char *type = http_request_header(call->request, "Content-Type");
    struct upload upload = {.data = body, .len = len};
    *ret_metadata = NULL;
    snprintf(upload.type, sizeof(upload.type), "%s", type ? type : "application/octet-stream");
    if (kind && strcmp(kind, "media") == 0) {
        *ret_metadata = json_object();
    } else if (!kind || strcmp(kind, "multipart") != 0 || !type ||
               upload_split(type, body, len, &upload) ||
               js_parse(upload.metadata, upload.metadata_len, ret_metadata, NULL) ||
               !json_is_object(*ret_metadata)) {
        json_decref(*ret_metadata);
        google_error(call, 400, "badContent",
                     "Malformed multipart body, or an uploadType that is not media or multipart.");
        return false;
    }
    *ret_upload = upload;
    return true;
}

static bool decode_upload(struct call *call, const struct upload *upload, uint8_t **ret_data,
                          size_t *ret_len)
{
    if (!upload->base64) {
        *ret_data = memcpy(mem_alloc(upload->len + 1), upload->data, upload->len);
        *ret_len = upload->len;
        return true;
    }
    if (crypto_base64_decode(upload->data, upload->len, ret_data, ret_len) == ERR_OK)
        return true;
    google_error(call, 400, "badContent", "Malformed base64.");
    return false;
}

void drive_upload_new(struct call *call, const json_t *metadata, const char *type, const void *data,
                      size_t len)
{
    json_t *file = drive_make(call, metadata, type);
    if (!file)
        return;
    if (drive_fill(call, file, data, len))
        drive_store(call, file, len);
    else
        json_decref(file);
}

void drive_upload_over(struct call *call, json_t *file, const json_t *metadata, const void *data,
                       size_t len)
{
    if (len > ACCOUNT_STORED_MAX - call->account->stored) {
        google_error(call, 403, "storageQuotaExceeded",
                     "The user's Drive storage quota has been exceeded.");
        return;
    }
    if (!drive_apply(call, file, metadata) || !drive_fill(call, file, data, len))
        return;
    call->account->stored += len;
    drive_reply(call, drive_view(file), DRIVE_FILE_FIELDS);
}

static bool is_resumable(struct call *call)
{
    const char *kind = call_query(call, "uploadType");
    return kind && strcmp(kind, "resumable") == 0;
}

void drive_upload(struct call *call)
{
    AUTOJSON json_t *metadata = NULL;
    struct upload upload;
    AUTOFREE uint8_t *data = NULL;
    size_t len;
    if (is_resumable(call))
        resumable_begin(call, NULL);
    else if (read_upload(call, &metadata, &upload) && decode_upload(call, &upload, &data, &len))
        drive_upload_new(call, metadata, upload.type, data, len);
}

void drive_upload_update(struct call *call)
{
    AUTOJSON json_t *metadata = NULL;
    struct upload upload;
    AUTOFREE uint8_t *data = NULL;
    size_t len;
    json_t *file = drive_own_file(call, call->args[0]);
    if (!file)
        return;
    if (is_resumable(call))
        resumable_begin(call, js_str(file, "id", ""));
    else if (read_upload(call, &metadata, &upload) && decode_upload(call, &upload, &data, &len))
        drive_upload_over(call, file, metadata, data, len);
}
