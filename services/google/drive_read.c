#include "libcommon/js.h"
#include "services/google/drive_content.h"
#include "services/google/drive_file.h"
#include "services/google/tools.h"

enum { HEADING_ROOM = 2048 };

static void show(const struct drive_content *content, struct result *result)
{
    struct buf *text = &result->text;
    bool cut = content->text.full;
    if (content->readable) {
        buf_add_str(text, "Contents of ");
        text_add_line(text, js_str(content->file, "name", ""), DRIVE_NAME_MAX);
        buf_add_str(text, " (");
        text_add_line(text, js_str(content->file, "mimeType", ""), DRIVE_NAME_MAX);
        buf_add_str(text, "):\n\n");
    }
    buf_add(text, buf_text(&content->text), content->text.len);
    if (cut)
        buf_add_str(text, "\n[cut here: the file is longer]");
    if (content->first_sheet)
        buf_add_str(text, "\n[the first sheet only; sheets_read reads the others]");
    result->structured = json_pack("{s:b,s:b}", "readable", (int)content->readable, "complete",
                                   (int)(content->readable && !cut && !content->first_sheet));
    json_set_line(result->structured, "id", js_str(content->file, "id", NULL), DRIVE_NAME_MAX);
    json_set_line(result->structured, "name", js_str(content->file, "name", NULL), DRIVE_NAME_MAX);
    json_set_line(result->structured, "mimeType", js_str(content->file, "mimeType", NULL),
                  DRIVE_NAME_MAX);
}

void drive_read(struct api *api, const json_t *args, struct result *result)
{
    char id[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    struct drive_content content;
    if (!drive_id_arg(args, "fileId", id, result))
        return;
    if (drive_content_read(api, id, RESULT_TEXT_MAX - HEADING_ROOM, &content, why) == ERR_OK)
        show(&content, result);
    else
        result_fail(result, "%s", why);
    drive_content_fini(&content);
}
