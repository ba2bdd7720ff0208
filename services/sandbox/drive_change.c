/* Drive's API v3: making, changing and deleting files. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/drive.h"

enum { NAME_MAX_BYTES = 1024, MADE_IDS = 1000, FOLDERS_DEEP = 64 };

static const char *parent_of(const json_t *file)
{
    return json_string_value(json_array_get(json_object_get(file, "parents"), 0));
}

/* Is `folder` the file itself, or somewhere below it? */
static bool is_below(struct call *call, const char *folder, const char *file)
{
    for (int deep = 0; folder && deep < FOLDERS_DEEP; deep++) {
        if (strcmp(folder, file) == 0)
            return true;
        folder = parent_of(item_find(call->account->files, folder));
    }
    return false;
}

/* May `file` (its id; NULL for a new one) lie in the folder? False after an error answer. */
static bool check_parent(struct call *call, const char *wanted, const char *file)
{
    if (drive_is_root(call, wanted))
        return true;
    const json_t *parent = drive_own_file(call, wanted);
    if (!parent)
        return false;
    if (!drive_is_folder(parent))
        google_error(call, 403, "parentNotAFolder", "The specified parent is not a folder.");
    else if (file && is_below(call, wanted, file))
        google_error(call, 403, "cannotMoveIntoDescendant",
                     "A folder cannot be moved into itself or one of its descendants.");
    else
        return true;
    return false;
}

static bool check_writable(struct call *call, const json_t *metadata)
{
    static const char *const READ_ONLY[] = {"owners", "webViewLink", "size", "version"};
    for (size_t i = 0; i < sizeof(READ_ONLY) / sizeof(READ_ONLY[0]); i++) {
        if (json_object_get(metadata, READ_ONLY[i])) {
            google_error(call, 403, "fieldNotWritable",
                         "The resource body includes fields which are not directly writable.");
            return false;
        }
    }
    return true;
}

static void set_parent(struct call *call, json_t *file, const char *wanted)
{
    char root[ITEM_ID_SIZE];
    file_root_id(call->account, root);
    json_object_set_new(file, "parents",
                        json_pack("[s]", drive_is_root(call, wanted) ? root : wanted));
}

/* ?addParents, ?removeParents of an existing file: it lies in one folder alone. */
static bool move(struct call *call, json_t *file, const json_t *metadata)
{
    const char *add = call_query(call, "addParents");
    const char *remove = call_query(call, "removeParents");
    if (json_object_get(metadata, "parents")) {
        google_error(call, 403, "fieldNotWritable",
                     "The parents field is not directly writable in update requests. Use the "
                     "addParents and removeParents parameters instead.");
        return false;
    }
    if (!add || !*add)
        return true;
    if (!check_parent(call, add, js_str(file, "id", "")))
        return false;
    const char *parent = parent_of(file);
    bool leaves = remove && parent &&
                  (strcmp(remove, parent) == 0 ||
                   (strcmp(remove, "root") == 0 && drive_is_root(call, parent)));
    if (!leaves && parent && strcmp(parent, add) != 0) {
        google_error(call, 403, "cannotAddParent",
                     "Increasing the number of parents is not allowed");
        return false;
    }
    set_parent(call, file, add);
    return true;
}

void drive_touch(struct call *call, json_t *file)
{
    char now[TIME_TEXT_SIZE];
    time_rfc3339(call->now_ms, now);
    AUTOFREE char *version = mem_printf("%ld", strtol(js_str(file, "version", "1"), NULL, 10) + 1);
    json_object_set_new(file, "modifiedTime", json_string(now));
    json_object_set_new(file, "version", json_string(version));
}

static void set_metadata(struct call *call, json_t *file, const json_t *metadata)
{
    static const char *const TEXTS[] = {"name", "mimeType", "description", NULL};
    static const char *const FLAGS[] = {"trashed", "starred", NULL};
    for (int i = 0; TEXTS[i]; i++) {
        const char *value = js_str(metadata, TEXTS[i], NULL);
        if (value)
            json_object_set_new(file, TEXTS[i],
                                js_string_capped(value, strlen(value), NAME_MAX_BYTES, ""));
    }
    for (int i = 0; FLAGS[i]; i++)
        if (json_is_boolean(json_object_get(metadata, FLAGS[i])))
            json_object_set(file, FLAGS[i], json_object_get(metadata, FLAGS[i]));
    json_t *shortcut = json_object_get(metadata, "shortcutDetails");
    if (json_is_string(json_object_get(shortcut, "targetId")))
        json_object_set(file, "shortcutDetails", shortcut);
    drive_touch(call, file);
}

bool drive_apply(struct call *call, json_t *file, const json_t *metadata)
{
    if (!check_writable(call, metadata) || !move(call, file, metadata))
        return false;
    set_metadata(call, file, metadata);
    return true;
}

static void new_id(struct call *call, char id[ITEM_ID_SIZE])
{
    data_file_id(call->account->email, MADE_IDS + call->account->serial++, id);
}

/* The caller's own id, which generateIds has given, or a new one. False after an error answer. */
static bool take_id(struct call *call, const json_t *metadata, char id[ITEM_ID_SIZE])
{
    const char *given = js_str(metadata, "id", NULL);
    new_id(call, id);
    if (!given)
        return true;
    if (strlen(given) != strlen(id) || *given != '1')
        google_error(call, 400, "invalid", "The provided file ID is not usable.");
    else if (item_find(call->account->files, given))
        google_error(call, 409, "fileIdInUse", "A file already exists with the provided ID.");
    else {
        memcpy(id, given, strlen(given) + 1);
        return true;
    }
    return false;
}

void drive_new_ids(struct call *call)
{
    int count = call_limit(call, "count", 10, 1000);
    char id[ITEM_ID_SIZE];
    json_t *ids = json_array();
    for (int i = 0; i < count; i++) {
        new_id(call, id);
        json_array_append_new(ids, json_string(id));
    }
    reply_json(
        call, 200,
        json_pack("{s:s, s:s, s:o}", "kind", "drive#generatedIds", "space", "drive", "ids", ids));
}

json_t *drive_make(struct call *call, const json_t *metadata, const char *type)
{
    char id[ITEM_ID_SIZE];
    const char *parent = parent_of(metadata);
    if (json_array_size(json_object_get(metadata, "parents")) > 1) {
        google_error(call, 400, "invalid", "A file can have only one parent.");
        return NULL;
    }
    if (parent && !check_parent(call, parent, NULL))
        return NULL;
    if (!take_id(call, metadata, id))
        return NULL;
    const char *wanted = js_str(metadata, "mimeType", type ? type : "application/octet-stream");
    json_t *file =
        file_new(call->account, id, "Untitled", wanted, NULL, call->now_ms, call->now_ms);
    set_metadata(call, file, metadata);
    json_object_set_new(file, "_made", json_true());
    if (parent)
        set_parent(call, file, parent);
    if (!drive_is_folder(file))
        file_set_content(file, "", 0);
    return file;
}

void drive_store(struct call *call, json_t *file, size_t bytes)
{
    json_incref(file);
    if (item_add(call->account, call->account->files, file, bytes + 512))
        google_error(call, 403, "storageQuotaExceeded",
                     "The user's Drive storage quota has been exceeded.");
    else
        drive_reply(call, drive_view(file), DRIVE_FILE_FIELDS);
    json_decref(file);
}

/* A Google Doc made from an upload holds its text alone. */
bool drive_fill(struct call *call, json_t *file, const void *data, size_t len)
{
    const char *type = js_str(file, "mimeType", "");
    if (len > FILE_CONTENT_MAX)
        google_error(call, 413, "uploadTooLarge", "The upload is too large for the sandbox.");
    else if (strncmp(type, GOOGLE_APP, strlen(GOOGLE_APP)) == 0 && !js_is_utf8(data, len))
        google_error(call, 400, "badRequest", "The sandbox converts text alone.");
    else {
        file_set_content(file, data, len);
        return true;
    }
    return false;
}

void drive_create(struct call *call)
{
    AUTOJSON json_t *metadata = google_body(call);
    json_t *file = metadata ? drive_make(call, metadata, NULL) : NULL;
    if (file)
        drive_store(call, file, 0);
}

void drive_update(struct call *call)
{
    json_t *file = drive_own_file(call, call->args[0]);
    AUTOJSON json_t *metadata = file ? google_body(call) : NULL;
    if (metadata && drive_apply(call, file, metadata))
        drive_reply(call, drive_view(file), DRIVE_FILE_FIELDS);
}

/* With a folder goes what lies in it. */
static void delete_below(struct call *call, const char *id)
{
    json_t *files = call->account->files;
    for (size_t i = json_array_size(files); i-- > 0;) {
        json_t *file = json_array_get(files, i);
        if (is_below(call, parent_of(file), id))
            json_object_set_new(file, "_gone", json_true());
    }
    for (size_t i = json_array_size(files); i-- > 0;)
        if (js_bool(json_array_get(files, i), "_gone", false))
            json_array_remove(files, i);
}

void drive_delete(struct call *call)
{
    if (drive_is_root(call, call->args[0])) {
        google_error(call, 403, "insufficientFilePermissions",
                     "The user does not have sufficient permissions for this file.");
        return;
    }
    if (!drive_own_file(call, call->args[0]))
        return;
    delete_below(call, call->args[0]);
    item_remove(call->account->files, call->args[0]);
    call_respond(call, 204, NULL, "", 0, NULL);
}

void drive_empty_trash(struct call *call)
{
    json_t *files = call->account->files;
    for (size_t i = json_array_size(files); i-- > 0;)
        if (js_bool(json_array_get(files, i), "trashed", false))
            json_array_remove(files, i);
    call_respond(call, 204, NULL, "", 0, NULL);
}

void drive_copy(struct call *call)
{
    const json_t *original = drive_own_file(call, call->args[0]);
    AUTOJSON json_t *body = original ? google_body(call) : NULL;
    if (!body)
        return;
    if (drive_is_folder(original)) {
        google_error(call, 403, "cannotCopyFile", "This file cannot be copied by the user.");
        return;
    }
    AUTOFREE uint8_t *data = NULL;
    size_t len;
    AUTOFREE char *name = mem_printf("Copy of %s", js_str(original, "name", ""));
    AUTOJSON json_t *metadata =
        json_pack("{s:s, s:s, s:O}", "name", name, "mimeType", js_str(original, "mimeType", ""),
                  "parents", json_object_get(original, "parents"));
    json_object_update(metadata, body);
    json_t *file = drive_make(call, metadata, NULL);
    if (!file)
        return;
    file_content(original, &data, &len);
    file_set_content(file, data, len);
    drive_store(call, file, len);
}
