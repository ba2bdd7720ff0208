#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/map.h"
#include "libcommon/mem.h"
#include "services/google/drive_file.h"
#include "services/google/drive_query.h"
#include "services/google/tools.h"

/* drive_create_folder */

void drive_create_folder(struct api *api, const json_t *args, struct result *result)
{
    char parent[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    AUTOJSON json_t *folder = NULL;
    AUTOJSON json_t *metadata =
        json_pack("{s:s,s:s}", "name", js_str(args, "name", ""), "mimeType", DRIVE_FOLDER);
    if (*js_str(args, "parent_folder_id", "")) {
        if (!drive_id_arg(args, "parent_folder_id", parent, result))
            return;
        json_object_set_new(metadata, "parents", json_pack("[s]", parent));
    }
    struct api_request request = {.method = "POST",
                                  .host = API_DRIVE,
                                  .path = "/drive/v3/files",
                                  .query = "supportsAllDrives=true&fields=" DRIVE_TELL_FIELDS,
                                  .body = metadata};
    if (api_call(api, &request, &folder, why) == ERR_OK)
        drive_tell(result, "Created the folder", folder);
    else
        result_fail(result, "%s", why);
}

/* drive_move */

/* The file and the folder, in one round trip. */
static bool fetch_both(struct api *api, const char *file, const char *folder,
                       struct api_outcome outcomes[2], struct result *result)
{
    char why[API_WHY_SIZE] = "";
    AUTOFREE char *file_path = drive_path("", file, "");
    AUTOFREE char *folder_path = drive_path("", folder, "");
    struct api_request requests[2] = {
        {.host = API_DRIVE,
         .path = file_path,
         .query = "supportsAllDrives=true&fields=" DRIVE_TELL_FIELDS ",parents"},
        {.host = API_DRIVE,
         .path = folder_path,
         .query = "supportsAllDrives=true&fields=" DRIVE_TELL_FIELDS},
    };
    if (api_batch(api, requests, 2, outcomes, why) != ERR_OK) {
        result_fail(result, "%s", why);
        return false;
    }
    if (outcomes[0].error)
        result_fail(result, "The file: %s", outcomes[0].why);
    else if (outcomes[1].error)
        result_fail(result, "The target folder: %s", outcomes[1].why);
    else if (!drive_is_type(outcomes[1].json, DRIVE_FOLDER))
        result_fail(result, "The target is not a folder.");
    if (result->error)
        api_outcomes_free(outcomes, 2);
    return !result->error;
}

/* The file's parents, with commas. */
static void add_parents(struct buf *query, const json_t *file, const char *but)
{
    size_t i;
    json_t *parent;
    struct buf list;
    buf_init(&list, 16384);
    json_array_foreach(json_object_get(file, "parents"), i, parent)
    {
        const char *id = json_string_value(parent);
        if (id && strcmp(id, but) != 0)
            buf_printf(&list, "%s%s", list.len ? "," : "", id);
    }
    if (list.len)
        query_add(query, "removeParents", buf_text(&list));
    buf_fini(&list);
}

void drive_move(struct api *api, const json_t *args, struct result *result)
{
    char id[DRIVE_ID_SIZE], folder[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    struct api_outcome outcomes[2] = {0};
    if (!drive_id_arg(args, "fileId", id, result) ||
        !drive_id_arg(args, "targetFolderId", folder, result) ||
        !fetch_both(api, id, folder, outcomes, result))
        return;
    struct buf query;
    AUTOFREE char *path = drive_path("", id, "");
    AUTOJSON json_t *moved = NULL, *body = json_object();
    const char *target = js_str(outcomes[1].json, "id", folder);
    buf_init(&query, 32768);
    buf_add_str(&query, "supportsAllDrives=true&fields=" DRIVE_TELL_FIELDS);
    query_add(&query, "addParents", target);
    add_parents(&query, outcomes[0].json, target);
    struct api_request request = {.method = "PATCH",
                                  .host = API_DRIVE,
                                  .path = path,
                                  .query = buf_text(&query),
                                  .body = body,
                                  .repeatable = true};
    if (api_call(api, &request, &moved, why) == ERR_OK) {
        drive_tell(result, "Moved", moved);
        buf_add_str(&result->text, "Now in the folder: ");
        text_add_line(&result->text, js_str(outcomes[1].json, "name", ""), DRIVE_NAME_MAX);
        buf_add_char(&result->text, '\n');
    } else {
        result_fail(result, "%s", why);
    }
    buf_fini(&query);
    api_outcomes_free(outcomes, 2);
}
