#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/addresses.h"
#include "services/google/drive_file.h"
#include "services/google/scopes_drive.h"
#include "services/google/tools.h"

static enum err permit(struct api *api, const char *id, const json_t *permission, const char *query,
                       char *ret_why)
{
    AUTOFREE char *path = drive_path("", id, "/permissions");
    AUTOJSON json_t *made = NULL;
    /* The same permission twice is one. */
    struct api_request request = {.method = "POST",
                                  .host = API_DRIVE,
                                  .path = path,
                                  .query = query,
                                  .body = permission,
                                  .repeatable = true};
    return api_call(api, &request, &made, ret_why);
}

void drive_share_file(struct api *api, const json_t *args, struct result *result)
{
    char id[DRIVE_ID_SIZE], email[ADDRESS_SIZE], why[API_WHY_SIZE] = "";
    const char *role = js_str(args, "role", "reader");
    bool notify = js_bool(args, "send_notification", true);
    AUTOJSON json_t *file = NULL;
    if (!drive_id_arg(args, "fileId", id, result))
        return;
    if (!address_read(js_str(args, "email", ""), email)) {
        result_fail(result, "\"email\" must be one email address.");
        return;
    }
    if (!drive_fetch_file(api, id, DRIVE_TELL_FIELDS, &file, result))
        return;
    AUTOJSON json_t *permission =
        json_pack("{s:s,s:s,s:s}", "type", "user", "role", role, "emailAddress", email);
    enum err err = permit(api, id, permission,
                          notify ? "supportsAllDrives=true&sendNotificationEmail=true&fields=id"
                                 : "supportsAllDrives=true&sendNotificationEmail=false&fields=id",
                          why);
    if (err) {
        result_fail(result, "%s", why);
        return;
    }
    drive_tell(result, "Shared", file);
    buf_printf(&result->text, "With: %s, as %s%s\n", email, role,
               notify ? "; a notification was sent" : "; no notification was sent");
    json_set_line(result->structured, "email", email, ADDRESS_SIZE);
    json_set_line(result->structured, "role", role, 32);
}

#define LINK_FIELDS DRIVE_TELL_FIELDS ",shared,webContentLink"

void drive_get_shareable_link(struct api *api, const json_t *args, struct result *result)
{
    char id[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    bool publish = js_bool(args, "make_public", false);
    AUTOJSON json_t *file = NULL;
    if (!drive_id_arg(args, "fileId", id, result))
        return;
    if (publish && !(api_config(api)->scopes & SCOPES_DRIVE_WRITE)) {
        result_fail(result, "\"make_public\" takes Google access that was not granted (drive).");
        return;
    }
    if (publish) {
        AUTOJSON json_t *anyone = json_pack("{s:s,s:s}", "type", "anyone", "role", "reader");
        if (permit(api, id, anyone, "supportsAllDrives=true&fields=id", why) != ERR_OK) {
            result_fail(result, "%s", why);
            return;
        }
    }
    if (!drive_fetch_file(api, id, LINK_FIELDS, &file, result))
        return;
    drive_tell(result, "Link to", file);
    const char *download = js_str(file, "webContentLink", NULL);
    if (download) {
        buf_add_str(&result->text, "Download: ");
        text_add_line(&result->text, download, DRIVE_NAME_MAX);
        buf_add_char(&result->text, '\n');
    }
    buf_add_str(&result->text,
                publish ? "Anyone who has the link can read it.\n"
                : js_bool(file, "shared", false)
                    ? "The file is shared: those who have access to it can open the link.\n"
                    : "The file is private: only its owner can open the link.\n");
    json_object_set_new(result->structured, "public", json_boolean(publish));
}
