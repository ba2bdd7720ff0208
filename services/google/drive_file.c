#include "services/google/drive_file.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

#define ID_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/* …/d/ID/…, …/folders/ID, …?id=ID */
static const char *find_in_link(const char *link)
{
    static const char *const marks[] = {"/d/", "/folders/", "?id=", "&id="};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *at = strstr(link, marks[i]);
        if (at)
            return at + strlen(marks[i]);
    }
    return NULL;
}

bool drive_read_id(const char *text, char ret_id[DRIVE_ID_SIZE])
{
    text += strspn(text, " \t\r\n");
    bool link = strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0;
    const char *id = link ? find_in_link(text) : text;
    size_t len = id ? strspn(id, ID_CHARACTERS) : 0;
    bool ends =
        link ? len && strchr("/?&#", id[len]) : len && !id[len + strspn(id + len, " \t\r\n")];
    if (len == 0 || len >= DRIVE_ID_SIZE || !ends)
        return false;
    memcpy(ret_id, id, len);
    ret_id[len] = '\0';
    return true;
}

bool drive_id_arg(const json_t *args, const char *name, char ret_id[DRIVE_ID_SIZE],
                  struct result *result)
{
    if (drive_read_id(js_str(args, name, ""), ret_id))
        return true;
    result_fail(result, "\"%s\" is not the id of a file: take it from the list of files.", name);
    return false;
}

char *drive_path(const char *prefix, const char *id, const char *suffix)
{
    return mem_printf("%s/drive/v3/files/%s%s", prefix, id, suffix);
}

enum err drive_get_file(struct api *api, const char *id, const char *fields, json_t **ret_file,
                        char ret_why[API_WHY_SIZE])
{
    AUTOFREE char *path = drive_path("", id, "");
    AUTOFREE char *query = mem_printf("supportsAllDrives=true&fields=%s", fields);
    struct api_request request = {.host = API_DRIVE, .path = path, .query = query};
    return api_call(api, &request, ret_file, ret_why);
}

bool drive_fetch_file(struct api *api, const char *id, const char *fields, json_t **ret_file,
                      struct result *result)
{
    char why[API_WHY_SIZE] = "";
    if (drive_get_file(api, id, fields, ret_file, why) == ERR_OK)
        return true;
    result_fail(result, "%s", why);
    return false;
}

bool drive_is_type(const json_t *file, const char *mime_type)
{
    return strcmp(js_str(file, "mimeType", ""), mime_type) == 0;
}

void drive_tell(struct result *result, const char *said, const json_t *file)
{
    static const char *const copied[] = {"id", "name", "mimeType", "webViewLink"};
    const char *link = js_str(file, "webViewLink", NULL);
    buf_printf(&result->text, "%s: ", said);
    text_add_line(&result->text, js_str(file, "name", ""), DRIVE_NAME_MAX);
    buf_add_str(&result->text, "\nID: ");
    text_add_line(&result->text, js_str(file, "id", ""), DRIVE_NAME_MAX);
    if (link) {
        buf_add_str(&result->text, "\nLink: ");
        text_add_line(&result->text, link, DRIVE_NAME_MAX);
    }
    buf_add_char(&result->text, '\n');
    if (!result->structured)
        result->structured = json_object();
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        json_set_line(result->structured, copied[i], js_str(file, copied[i], NULL), DRIVE_NAME_MAX);
}
