/* Drive's API v3: permissions. */
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/drive.h"

enum { PERMISSIONS_MAX = 100 };

void drive_permissions(struct call *call)
{
    const json_t *file = drive_own_file(call, call->args[0]);
    if (file)
        reply_json(call, 200,
                   json_pack("{s:s, s:O}", "kind", "drive#permissionList", "permissions",
                             json_object_get(file, "permissions")));
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; text && *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* NULL: fine, else what is wrong with it. */
static const char *check_permission(const json_t *body)
{
    static const char *const ROLES[] = {
        "owner", "organizer", "fileOrganizer", "writer", "commenter", "reader", NULL};
    static const char *const TYPES[] = {"user", "group", "domain", "anyone", NULL};
    const char *type = js_str(body, "type", NULL), *email = js_str(body, "emailAddress", NULL);
    if (!is_one_of(js_str(body, "role", NULL), ROLES))
        return "The permission role field is required.";
    if (!is_one_of(type, TYPES))
        return "The permission type field is required.";
    if ((strcmp(type, "user") == 0 || strcmp(type, "group") == 0) &&
        (!email || !email_is_valid(email)))
        return "The specified emailAddress is invalid or not applicable for the given permission "
               "type.";
    return NULL;
}

void drive_permit(struct call *call)
{
    json_t *file = drive_own_file(call, call->args[0]);
    AUTOJSON json_t *body = file ? google_body(call) : NULL;
    if (!body)
        return;
    const char *why = check_permission(body), *email = js_str(body, "emailAddress", NULL);
    json_t *permissions = json_object_get(file, "permissions");
    if (why || json_array_size(permissions) >= PERMISSIONS_MAX) {
        google_error(call, why ? 400 : 403, why ? "invalid" : "sharingRateLimitExceeded",
                     why ? why : "Too many permissions.");
        return;
    }
    AUTOFREE char *number = mem_printf("%020llu", (unsigned long long)(crypto_random_u64() >> 1));
    bool anyone = strcmp(js_str(body, "type", ""), "anyone") == 0;
    json_t *permission = json_pack("{s:s, s:s, s:s, s:s}", "kind", "drive#permission", "id",
                                   anyone ? "anyoneWithLink" : number, "type",
                                   js_str(body, "type", ""), "role", js_str(body, "role", ""));
    if (email)
        json_object_set_new(permission, "emailAddress", json_string(email));
    json_array_append(permissions, permission);
    json_object_set_new(file, "shared", json_true());
    reply_json(call, 200, permission);
}

void drive_unpermit(struct call *call)
{
    json_t *file = drive_own_file(call, call->args[0]);
    if (!file)
        return;
    if (item_remove(json_object_get(file, "permissions"), call->args[1]))
        http_respond(call->request, 204, NULL, "", 0, NULL);
    else
        google_not_found(call, "Permission");
}
