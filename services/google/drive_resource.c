#include "libcommon/js.h"
#include "services/google/drive_content.h"
#include "services/google/resources.h"
#include "services/google/result.h"

/* gdrive:///ID: what drive_read shows of it, without its heading. */
enum err drive_resource(struct api *api, const char *id, const char *uri, json_t **ret_contents,
                        char ret_why[API_WHY_SIZE])
{
    struct drive_content content;
    enum err err = drive_content_read(api, id, RESULT_TEXT_MAX - 1024, &content, ret_why);
    if (!err) {
        json_t *text =
            js_string_capped(buf_text(&content.text), content.text.len, RESULT_TEXT_MAX, "…");
        *ret_contents =
            json_pack("[{s:s,s:s,s:o}]", "uri", uri, "mimeType", content.mime_type, "text", text);
    }
    drive_content_fini(&content);
    return err;
}
