/* Drive's API v3: permissions. */
#include <stdio.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/drive.h"
#include "services/sandbox/notify.h"

#define PERMISSION_FIELDS "kind,id,type,role"

enum { PERMISSIONS_MAX = 100 };

void drive_permissions(struct call *call)
{
    const json_t *file = drive_own_file(call, call->args[0]);
    if (file)
        drive_reply(call,
                    json_pack("{s:s, s:O}", "kind", "drive#permissionList", "permissions",
                              json_object_get(file, "permissions")),
                    "kind,nextPageToken,permissions(" PERMISSION_FIELDS ")");
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; text && *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

static bool role_is_known(const char *role)
{
    static const char *const ROLES[] = {
        "owner", "organizer", "fileOrganizer", "writer", "commenter", "reader", NULL};
    return is_one_of(role, ROLES);
}

/* NULL: fine, else what is wrong with it. */
static const char *check_permission(const json_t *body)
{
    static const char *const TYPES[] = {"user", "group", "domain", "anyone", NULL};
    const char *type = js_str(body, "type", NULL), *email = js_str(body, "emailAddress", NULL);
    if (!role_is_known(js_str(body, "role", NULL)))
        return "The permission role field is required.";
    if (!is_one_of(type, TYPES))
        return "The permission type field is required.";
    if ((strcmp(type, "user") == 0 || strcmp(type, "group") == 0) &&
        (!email || !email_is_valid(email)))
        return "The specified emailAddress is invalid or not applicable for the given permission "
               "type.";
    if (strcmp(type, "domain") == 0 && !js_str(body, "domain", NULL))
        return "The specified domain is invalid or not applicable for the given permission type.";
    return NULL;
}

/* ?name, a yes unless it says false. */
static bool is_wanted(struct call *call, const char *name, bool def)
{
    const char *value = call_query(call, name);
    return value ? strcmp(value, "true") == 0 : def;
}

/* The permission that the same person, or everyone, has already. */
static json_t *find_permission(json_t *permissions, const json_t *body)
{
    size_t i;
    json_t *one;
    const char *email = js_str(body, "emailAddress", "");
    json_array_foreach(permissions, i, one)
    {
        if (strcmp(js_str(one, "type", ""), js_str(body, "type", "")) == 0 &&
            strcasecmp(js_str(one, "emailAddress", ""), email) == 0)
            return one;
    }
    return NULL;
}

static json_t *new_permission(const json_t *body)
{
    const char *email = js_str(body, "emailAddress", NULL), *type = js_str(body, "type", "");
    AUTOFREE char *number = mem_printf("%020llu", (unsigned long long)(crypto_random_u64() >> 1));
    bool anyone = strcmp(type, "anyone") == 0;
    json_t *permission = json_pack("{s:s, s:s, s:s, s:s}", "kind", "drive#permission", "id",
                                   anyone ? "anyoneWithLink" : number, "type", type, "role",
                                   js_str(body, "role", ""));
    if (email)
        json_object_set_new(permission, "emailAddress", json_string(email));
    if (anyone)
        json_object_set_new(permission, "allowFileDiscovery",
                            json_boolean(js_bool(body, "allowFileDiscovery", false)));
    return permission;
}

static void tell(struct call *call, const json_t *file, const char *email)
{
    const char *name = js_str(file, "name", "");
    const char *message = call_query(call, "emailMessage");
    AUTOFREE char *subject = mem_printf("Document shared with you: \"%s\"", name);
    AUTOFREE char *text =
        mem_printf("%s has shared \"%s\" with you.\n%s\n%s\n", call->account->email, name,
                   message ? message : "", js_str(file, "webViewLink", ""));
    notify_mail(call, email, subject, text);
}

static bool may_permit(struct call *call, const json_t *body, const json_t *permissions)
{
    const char *why = check_permission(body);
    if (why)
        google_error(call, 400, "invalid", why);
    else if (strcmp(js_str(body, "role", ""), "owner") == 0 &&
             !is_wanted(call, "transferOwnership", false))
        google_error(call, 403, "forbidden",
                     "The transferOwnership parameter must be enabled when the permission role is "
                     "'owner'.");
    else if (json_array_size(permissions) >= PERMISSIONS_MAX)
        google_error(call, 403, "sharingRateLimitExceeded", "Too many permissions.");
    else
        return true;
    return false;
}

void drive_permit(struct call *call)
{
    json_t *file = drive_own_file(call, call->args[0]);
    AUTOJSON json_t *body = file ? google_body(call) : NULL;
    json_t *permissions = json_object_get(file, "permissions");
    if (!body || !may_permit(call, body, permissions))
        return;
    json_t *permission = find_permission(permissions, body);
    if (!permission) {
        permission = new_permission(body);
        json_array_append_new(permissions, permission);
    } else if (strcmp(js_str(permission, "role", ""), "owner") != 0) {
        json_object_set(permission, "role", json_object_get(body, "role"));
    }
    json_object_set_new(file, "shared", json_true());
    const char *email = js_str(body, "emailAddress", NULL);
    if (email && is_wanted(call, "sendNotificationEmail", true))
        tell(call, file, email);
    drive_reply(call, json_incref(permission), PERMISSION_FIELDS);
}

static json_t *own_permission(struct call *call, json_t **ret_list)
{
    json_t *file = drive_own_file(call, call->args[0]);
    if (!file)
        return NULL;
    json_t *found = item_find(json_object_get(file, "permissions"), call->args[1]);
    if (!found) {
        AUTOFREE char *message = mem_printf("Permission not found: %s.", call->args[1]);
        google_error(call, 404, "notFound", message);
    }
    *ret_list = json_object_get(file, "permissions");
    return found;
}

void drive_permission(struct call *call)
{
    json_t *list;
    json_t *permission = own_permission(call, &list);
    if (permission)
        drive_reply(call, json_incref(permission), PERMISSION_FIELDS);
}

void drive_permission_update(struct call *call)
{
    json_t *list;
    json_t *permission = own_permission(call, &list);
    AUTOJSON json_t *body = permission ? google_body(call) : NULL;
    if (!body)
        return;
    if (!role_is_known(js_str(body, "role", NULL)) ||
        strcmp(js_str(permission, "role", ""), "owner") == 0) {
        google_error(call, 403, "forbidden", "The permission cannot be changed so.");
        return;
    }
    json_object_set(permission, "role", json_object_get(body, "role"));
    drive_reply(call, json_incref(permission), PERMISSION_FIELDS);
}

void drive_unpermit(struct call *call)
{
    json_t *list;
    const json_t *permission = own_permission(call, &list);
    if (!permission)
        return;
    if (strcmp(js_str(permission, "role", ""), "owner") == 0) {
        google_error(call, 403, "forbidden", "The owner of a file cannot be removed.");
        return;
    }
    item_remove(list, call->args[1]);
    call_respond(call, 204, NULL, "", 0, NULL);
}
