#include <string.h>

#include "libcommon/http_client.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/drive_file.h"
#include "services/google/sheets_table.h"
#include "services/google/tools.h"

enum { RANGE_MAX = 300 };

#define WRITE_FIELDS "spreadsheetId,updatedRange,updatedRows,updatedColumns,updatedCells"

static char *values_path(const char *id, const char *range, const char *verb)
{
    AUTOFREE char *encoded = http_url_encode(range);
    return mem_printf("/v4/spreadsheets/%s/values/%s%s", id, encoded, verb);
}

/* sheets_read */

static enum err get_values(struct api *api, const char *id, const char *range, bool formulas,
                           json_t **ret_values, char *ret_why)
{
    AUTOFREE char *path = values_path(id, range, "");
    struct api_request request = {.host = API_SHEETS,
                                  .path = path,
                                  .query = formulas ? "valueRenderOption=FORMULA"
                                                    : "valueRenderOption=FORMATTED_VALUE"};
    return api_call(api, &request, ret_values, ret_why);
}

/* A sheet's name as a range: quoted, whatever it is. */
static char *whole_sheet(const char *title)
{
    struct buf out;
    buf_init(&out, 2 * RANGE_MAX + 8);
    buf_add_char(&out, '\'');
    for (; *title; title++) {
        if (*title == '\'')
            buf_add_char(&out, '\'');
        buf_add_char(&out, *title);
    }
    buf_add_char(&out, '\'');
    return buf_steal(&out);
}

/* Names the sheets in the result; *ret_range is the first one's, new. */
static enum err list_sheets(struct api *api, const char *id, struct result *result,
                            char **ret_range, char *ret_why)
{
    AUTOFREE char *path = mem_printf("/v4/spreadsheets/%s", id);
    AUTOJSON json_t *sheets = NULL;
    struct api_request request = {
        .host = API_SHEETS,
        .path = path,
        .query = "fields=properties(title),sheets(properties(title,sheetType))"};
    enum err err = api_call(api, &request, &sheets, ret_why);
    if (err)
        return err;
    size_t i;
    json_t *sheet;
    json_t *titles = json_array();
    const char *first = NULL;
    buf_add_str(&result->text, "Spreadsheet: ");
    text_add_line(&result->text, js_str(json_object_get(sheets, "properties"), "title", ""),
                  DRIVE_NAME_MAX);
    buf_add_str(&result->text, "\nSheets: ");
    json_array_foreach(json_object_get(sheets, "sheets"), i, sheet)
    {
        const json_t *properties = json_object_get(sheet, "properties");
        const char *title = js_str(properties, "title", "");
        if (!first && strcmp(js_str(properties, "sheetType", "GRID"), "GRID") == 0)
            first = title;
        buf_add_str(&result->text, i ? ", " : "");
        text_add_line(&result->text, title, RANGE_MAX);
        json_array_append_new(titles, js_string_capped(title, strlen(title), RANGE_MAX, "…"));
    }
    buf_add_str(&result->text, "\n\n");
    json_object_set_new(result->structured, "sheets", titles);
    *ret_range = whole_sheet(first ? first : "Sheet1");
    return ERR_OK;
}

void sheets_read(struct api *api, const json_t *args, struct result *result)
{
    char id[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    const char *range = js_str(args, "range", "");
    AUTOFREE char *own = NULL;
    AUTOJSON json_t *values = NULL;
    if (!drive_id_arg(args, "spreadsheet_id", id, result))
        return;
    result->structured = json_pack("{s:s}", "id", id);
    enum err err = *range ? ERR_OK : list_sheets(api, id, result, &own, why);
    if (!err)
        err =
            get_values(api, id, own ? own : range, js_bool(args, "formulas", false), &values, why);
    if (err)
        result_fail(result, "%s", why);
    else
        sheets_show(values, result);
}

/* sheets_update, sheets_append */

struct write {
    const char *method, *verb, *query;
};

static enum err send_values(struct api *api, const char *id, const char *range,
                            const struct write *write, const json_t *values, bool raw,
                            json_t **ret_answer, char *ret_why)
{
    AUTOFREE char *path = values_path(id, range, write->verb);
    AUTOFREE char *query =
        mem_printf("valueInputOption=%s&%s", raw ? "RAW" : "USER_ENTERED", write->query);
    AUTOJSON json_t *body = json_pack("{s:s,s:O}", "majorDimension", "ROWS", "values", values);
    struct api_request request = {
        .method = write->method, .host = API_SHEETS, .path = path, .query = query, .body = body};
    return api_call(api, &request, ret_answer, ret_why);
}

static void tell_written(struct result *result, const char *said, const char *id,
                         const json_t *updates)
{
    int64_t cells = js_int(updates, "updatedCells", 0);
    buf_printf(&result->text, "%s %lld cell%s: ", said, (long long)cells, cells == 1 ? "" : "s");
    text_add_line(&result->text, js_str(updates, "updatedRange", ""), RANGE_MAX);
    buf_add_char(&result->text, '\n');
    if (!result->structured)
        result->structured = json_pack("{s:s}", "id", id);
    json_object_set_new(result->structured, "updatedCells", json_integer((json_int_t)cells));
    json_object_set_new(result->structured, "updatedRows",
                        json_integer((json_int_t)js_int(updates, "updatedRows", 0)));
    json_set_line(result->structured, "updatedRange", js_str(updates, "updatedRange", NULL),
                  RANGE_MAX);
}

static void write_values(struct api *api, const json_t *args, const struct write *write,
                         const char *said, struct result *result)
{
    char id[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    const json_t *values = json_object_get(args, "values");
    bool raw = strcmp(js_str(args, "value_input_option", ""), "RAW") == 0;
    AUTOJSON json_t *answer = NULL;
    if (!drive_id_arg(args, "spreadsheet_id", id, result))
        return;
    if (!sheets_check_values(values, why, sizeof why)) {
        result_fail(result, "%s", why);
        return;
    }
    enum err err =
        send_values(api, id, js_str(args, "range", ""), write, values, raw, &answer, why);
    const json_t *updates = json_object_get(answer, "updates");
    if (err)
        result_fail(result, "%s", why);
    else
        tell_written(result, said, id, updates ? updates : answer);
}

void sheets_update(struct api *api, const json_t *args, struct result *result)
{
    static const struct write write = {"PUT", "", "fields=" WRITE_FIELDS};
    write_values(api, args, &write, "Wrote", result);
}

void sheets_append(struct api *api, const json_t *args, struct result *result)
{
    static const struct write write = {
        "POST", ":append", "insertDataOption=INSERT_ROWS&fields=updates(" WRITE_FIELDS ")"};
    write_values(api, args, &write, "Appended", result);
}

/* sheets_create */

static enum err create(struct api *api, const json_t *args, json_t **ret_sheet, char *ret_why)
{
    const char *sheet_title = js_str(args, "sheet_title", "");
    AUTOJSON json_t *body =
        json_pack("{s:{s:s}}", "properties", "title", js_str(args, "title", ""));
    if (*sheet_title)
        json_object_set_new(body, "sheets",
                            json_pack("[{s:{s:s}}]", "properties", "title", sheet_title));
    struct api_request request = {
        .method = "POST",
        .host = API_SHEETS,
        .path = "/v4/spreadsheets",
        .query = "fields=spreadsheetId,spreadsheetUrl,properties(title),sheets(properties(title))",
        .body = body};
    return api_call(api, &request, ret_sheet, ret_why);
}

/* The first values of a new spreadsheet; it exists whether or not they can be written. */
static void fill(struct api *api, const json_t *sheet, const json_t *values, struct result *result)
{
    static const struct write write = {"PUT", "", "fields=" WRITE_FIELDS};
    char why[API_WHY_SIZE] = "";
    const char *id = js_str(sheet, "spreadsheetId", "");
    const json_t *first = json_array_get(json_object_get(sheet, "sheets"), 0);
    AUTOFREE char *title =
        whole_sheet(js_str(json_object_get(first, "properties"), "title", "Sheet1"));
    AUTOFREE char *range = mem_printf("%s!A1", title);
    AUTOJSON json_t *answer = NULL;
    if (send_values(api, id, range, &write, values, false, &answer, why) == ERR_OK)
        tell_written(result, "Wrote", id, answer);
    else
        buf_printf(&result->text, "Its values could not be written: %s\n", why);
}

void sheets_create(struct api *api, const json_t *args, struct result *result)
{
    char why[API_WHY_SIZE] = "";
    const json_t *values = json_object_get(args, "values");
    AUTOJSON json_t *sheet = NULL;
    if (json_array_size(values) && !sheets_check_values(values, why, sizeof why)) {
        result_fail(result, "%s", why);
        return;
    }
    if (create(api, args, &sheet, why) != ERR_OK) {
        result_fail(result, "%s", why);
        return;
    }
    const char *id = js_str(sheet, "spreadsheetId", "");
    result->structured = json_object();
    json_set_line(result->structured, "id", id, DRIVE_NAME_MAX);
    json_set_line(result->structured, "link", js_str(sheet, "spreadsheetUrl", NULL),
                  DRIVE_NAME_MAX);
    buf_add_str(&result->text, "Created the spreadsheet: ");
    text_add_line(&result->text, js_str(json_object_get(sheet, "properties"), "title", ""),
                  DRIVE_NAME_MAX);
    buf_add_str(&result->text, "\nID: ");
    text_add_line(&result->text, id, DRIVE_NAME_MAX);
    buf_add_str(&result->text, "\nLink: ");
    text_add_line(&result->text, js_str(sheet, "spreadsheetUrl", NULL), DRIVE_NAME_MAX);
    buf_add_char(&result->text, '\n');
    if (json_array_size(values) && api_is_id(id))
        fill(api, sheet, values, result);
}
