#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/drive_file.h"
#include "services/google/local_file.h"
#include "services/google/tools.h"

#define UPLOAD_MAX (INT64_C(2) * 1024 * 1024 * 1024)

/* By the name's ending; Drive looks at the content itself where this says nothing. */
static const char *type_of(const char *name)
{
    static const char *const types[][2] = {
        {"txt", "text/plain"},
        {"md", "text/markdown"},
        {"csv", "text/csv"},
        {"html", "text/html"},
        {"json", "application/json"},
        {"xml", "application/xml"},
        {"pdf", "application/pdf"},
        {"zip", "application/zip"},
        {"png", "image/png"},
        {"jpg", "image/jpeg"},
        {"jpeg", "image/jpeg"},
        {"gif", "image/gif"},
        {"svg", "image/svg+xml"},
        {"mp3", "audio/mpeg"},
        {"mp4", "video/mp4"},
        {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
        {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
        {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
        if (strcasecmp(dot + 1, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool open_file(struct api *api, const char *path, int *ret_fd, int64_t *ret_size,
                      struct result *result)
{
    char why[LOCAL_WHY_SIZE] = "";
    const char *folder = api_config(api)->upload_dir;
    if (!folder || !*folder)
        result_fail(result, "Uploading files of the server is not set up: its administrator names "
                            "the folder that files may come from in DRIVE_UPLOAD_DIR. drive_create "
                            "makes files from text.");
    else if (local_open(folder, path, UPLOAD_MAX, ret_fd, ret_size, why) != ERR_OK)
        result_fail(result, "%s", why);
    return !result->error;
}

void drive_upload_file(struct api *api, const json_t *args, struct result *result)
{
    char folder[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    const char *path = js_str(args, "file_path", ""), *name = js_str(args, "file_name", "");
    int64_t size = 0;
    int fd = -1;
    AUTOJSON json_t *file = NULL;
    name = *name ? name : last_part(path);
    if (!*name) {
        result_fail(result, "\"file_path\" must end with the file's name.");
        return;
    }
    AUTOJSON json_t *metadata = json_pack("{s:s}", "name", name);
    if (*js_str(args, "folder_id", "")) {
        if (!drive_id_arg(args, "folder_id", folder, result))
            return;
        json_object_set_new(metadata, "parents", json_pack("[s]", folder));
    }
    if (!open_file(api, path, &fd, &size, result))
        return;
    struct api_upload upload = {
        .request = {.method = "POST",
                    .host = API_DRIVE,
                    .path = "/upload/drive/v3/files",
                    .query = "supportsAllDrives=true&fields=" DRIVE_TELL_FIELDS ",size",
                    .body = metadata},
        .mime_type = type_of(name),
        .fd = fd,
        .size = size};
    if (api_upload(api, &upload, &file, why) == ERR_OK) {
        drive_tell(result, "Uploaded", file);
        buf_printf(&result->text, "Size in bytes: %lld\n", (long long)size);
    } else {
        result_fail(result, "%s", why);
    }
    close(fd);
}
