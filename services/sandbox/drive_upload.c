/* Drive's API v3: uploads, uploadType=media and multipart (RFC 2387). */
#include <string.h>
#include <strings.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/drive.h"
#include "services/sandbox/upload.h"

#define GOOGLE_APP "application/vnd.google-apps."

/* The parts of the request, or false after a 400. metadata is the caller's; the rest borrowed. */
static bool read_upload(struct call *call, json_t **ret_metadata, struct upload *ret_upload)
{
    size_t len;
    const char *body = http_request_body(call->request, &len);
    const char *kind = http_request_query(call->request, "uploadType");
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
    if (upload->base64) {
        if (crypto_base64_decode(upload->data, upload->len, ret_data, ret_len)) {
            google_error(call, 400, "badContent", "Malformed base64.");
            return false;
        }
    } else {
        *ret_data = memcpy(mem_alloc(upload->len + 1), upload->data, upload->len);
        *ret_len = upload->len;
    }
    if (*ret_len <= FILE_CONTENT_MAX)
        return true;
    google_error(call, 413, "uploadTooLarge", "The upload is too large for the sandbox.");
    return false;
}

/* A Google Doc made from an upload holds its text alone. */
static bool check_conversion(struct call *call, const json_t *file, const uint8_t *data, size_t len)
{
    const char *type = js_str(file, "mimeType", "");
    if (strncmp(type, GOOGLE_APP, strlen(GOOGLE_APP)) != 0 || js_is_utf8((const char *)data, len))
        return true;
    google_error(call, 400, "badRequest", "The sandbox converts text alone.");
    return false;
}

void drive_upload(struct call *call)
{
    AUTOJSON json_t *metadata = NULL;
    struct upload upload;
    AUTOFREE uint8_t *data = NULL;
    size_t len;
    if (!read_upload(call, &metadata, &upload) || !decode_upload(call, &upload, &data, &len))
        return;
    json_t *file = drive_make(call, metadata, upload.type);
    if (!file)
        return;
    if (!check_conversion(call, file, data, len)) {
        json_decref(file);
        return;
    }
    file_set_content(file, data, len);
    drive_store(call, file, len);
}

void drive_upload_update(struct call *call)
{
    AUTOJSON json_t *metadata = NULL;
    struct upload upload;
    AUTOFREE uint8_t *data = NULL;
    size_t len;
    json_t *file = drive_own_file(call, call->args[0]);
    if (!file || !read_upload(call, &metadata, &upload) ||
        !decode_upload(call, &upload, &data, &len) || !check_conversion(call, file, data, len))
        return;
    if (len > ACCOUNT_STORED_MAX - call->account->stored) {
        google_error(call, 403, "storageQuotaExceeded", "The invented Drive is full.");
        return;
    }
    call->account->stored += len;
    drive_apply(call, file, metadata);
    file_set_content(file, data, len);
    reply_json(call, 200, drive_view(file));
}
