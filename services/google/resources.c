#include "services/google/resources.h"

#include <stdio.h>
#include <string.h>

#include "services/google/scopes_drive.h"

static const struct template
{
    const char *uri, *prefix; /* the id follows the prefix */
    const char *name, *title, *description;
    uint32_t scopes;
    resource_fn *read;
}
templates[] = {
    {"gdrive:///{file_id}", "gdrive:///", "drive_file", "A file of Google Drive",
     "The content of a file of the user's Google Drive, by the file's id. Google's own documents "
     "are exported as text.",
     SCOPES_DRIVE_SEARCH, drive_resource},
};
enum { TEMPLATES = sizeof templates / sizeof *templates };

json_t *resources_templates(uint32_t scopes)
{
    json_t *list = json_array();
    for (size_t i = 0; i < TEMPLATES; i++)
        if (templates[i].scopes & scopes)
            json_array_append_new(list,
                                  json_pack("{s:s,s:s,s:s,s:s}", "uriTemplate", templates[i].uri,
                                            "name", templates[i].name, "title", templates[i].title,
                                            "description", templates[i].description));
    return list;
}

enum err resources_read(struct api *api, uint32_t scopes, const char *uri, json_t **ret_contents,
                        char ret_why[API_WHY_SIZE])
{
    for (size_t i = 0; i < TEMPLATES; i++) {
        size_t len = strlen(templates[i].prefix);
        if ((templates[i].scopes & scopes) && strncmp(uri, templates[i].prefix, len) == 0 &&
            api_is_id(uri + len))
            return templates[i].read(api, uri + len, uri, ret_contents, ret_why);
    }
    snprintf(ret_why, API_WHY_SIZE, "Resource not found");
    return ERR_NOT_FOUND;
}
