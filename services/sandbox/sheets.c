/* Sheets' API v4: spreadsheets and their sheets. */
#include "services/sandbox/sheets.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { SHEETS_MAX = 50, REQUESTS_MAX = 100 };

json_t *sheets_own(struct call *call, const char *id, json_t **ret_grid)
{
    json_t *file = item_find(call->account->files, id);
    if (!file || !drive_shows(call, file)) {
        google_rpc_error(call, 404, NULL, "Requested entity was not found.");
        return NULL;
    }
    if (strcmp(js_str(file, "mimeType", ""), SPREADSHEET) != 0) {
        google_rpc_error(call, 400, "FAILED_PRECONDITION",
                         "This operation is not supported for this document");
        return NULL;
    }
    if (!json_object_get(file, "_grid"))
        json_object_set_new(file, "_grid", grid_from_csv("Sheet1", js_str(file, "_text", "")));
    *ret_grid = json_object_get(file, "_grid");
    return file;
}

bool sheets_changed(struct call *call, json_t *file, const json_t *grid)
{
    struct buf csv;
    buf_init(&csv, FILE_CONTENT_MAX);
    grid_to_csv(grid, &csv);
    bool fits = buf_check(&csv) == ERR_OK;
    if (fits)
        json_object_set_new(file, "_text", json_string(buf_text(&csv)));
    else
        google_rpc_error(call, 400, NULL, "The spreadsheet is too large for the sandbox.");
    buf_fini(&csv);
    drive_touch(call, file);
    return fits;
}

static json_t *sheet_properties(const json_t *sheet, size_t index)
{
    size_t rows = json_array_size(json_object_get(sheet, "rows"));
    size_t columns = grid_columns(sheet);
    return json_pack("{s:I, s:s, s:i, s:s, s:{s:i, s:i}}", "sheetId",
                     (json_int_t)js_int(sheet, "sheetId", 0), "title", js_str(sheet, "title", ""),
                     "index", (int)index, "sheetType", "GRID", "gridProperties", "rowCount",
                     (int)(rows > GRID_ROWS ? rows : GRID_ROWS), "columnCount",
                     (int)(columns > GRID_COLUMNS ? columns : GRID_COLUMNS));
}

static json_t *spreadsheet(const json_t *file, const json_t *grid)
{
    size_t i;
    json_t *sheet, *sheets = json_array();
    const char *id = js_str(file, "id", "");
    json_array_foreach(grid, i, sheet)
    {
        json_array_append_new(sheets, json_pack("{s:o}", "properties", sheet_properties(sheet, i)));
    }
    AUTOFREE char *link = mem_printf("https://docs.google.com/spreadsheets/d/%s/edit", id);
    return json_pack("{s:s, s:{s:s, s:s, s:s, s:s}, s:o, s:s}", "spreadsheetId", id, "properties",
                     "title", js_str(file, "name", ""), "locale", "en_US", "autoRecalc",
                     "ON_CHANGE", "timeZone", "Etc/GMT", "sheets", sheets, "spreadsheetUrl", link);
}

void sheets_get(struct call *call)
{
    json_t *grid;
    const json_t *file = sheets_own(call, call->args[0], &grid);
    if (file)
        reply_json(call, 200, spreadsheet(file, grid));
}

static json_t *new_sheet(const json_t *grid, const char *title)
{
    size_t i;
    json_t *sheet;
    int64_t id = 0;
    json_array_foreach(grid, i, sheet)
    {
        if (js_int(sheet, "sheetId", 0) >= id)
            id = js_int(sheet, "sheetId", 0) + 1;
    }
    return json_pack("{s:I, s:s%, s:[]}", "sheetId", (json_int_t)id, "title", title,
                     strnlen(title, A1_SHEET_SIZE - 1), "rows");
}

static json_t *new_grid(const json_t *body)
{
    json_t *grid = json_array(), *sheet;
    size_t i;
    json_array_foreach(json_object_get(body, "sheets"), i, sheet)
    {
        AUTOFREE char *name = mem_printf("Sheet%zu", i + 1);
        const char *title = js_str(json_object_get(sheet, "properties"), "title", name);
        if (i < SHEETS_MAX && (!i || !grid_sheet(grid, title)))
            json_array_append_new(grid, new_sheet(grid, title));
    }
    if (!json_array_size(grid))
        json_array_append_new(grid, new_sheet(grid, "Sheet1"));
    return grid;
}

void sheets_create(struct call *call)
{
    AUTOJSON json_t *body = google_body(call);
    if (!body)
        return;
    AUTOJSON json_t *metadata =
        json_pack("{s:s, s:s}", "name",
                  js_str(json_object_get(body, "properties"), "title", "Untitled spreadsheet"),
                  "mimeType", SPREADSHEET);
    json_t *file = drive_make(call, metadata, NULL);
    if (!file)
        return;
    json_t *grid = new_grid(body);
    json_object_set_new(file, "_grid", grid);
    json_incref(file);
    if (item_add(call->account, call->account->files, file, 512))
        google_rpc_error(call, 403, NULL, "The invented Drive is full.");
    else
        reply_json(call, 200, spreadsheet(file, grid));
    json_decref(file);
}

/* spreadsheets.batchUpdate */

static json_t *sheet_by_id(const json_t *grid, int64_t id, size_t *ret_index)
{
    size_t i;
    json_t *sheet;
    json_array_foreach(grid, i, sheet)
    {
        if (js_int(sheet, "sheetId", -1) == id) {
            *ret_index = i;
            return sheet;
        }
    }
    return NULL;
}

static const char *add_sheet(json_t *grid, const json_t *request, json_t *reply)
{
    AUTOFREE char *name = mem_printf("Sheet%zu", json_array_size(grid) + 1);
    const char *title = js_str(json_object_get(request, "properties"), "title", name);
    if (!*title || grid_sheet(grid, title))
        return "A sheet with this name already exists. Please enter another name.";
    if (json_array_size(grid) >= SHEETS_MAX)
        return "Too many sheets.";
    json_t *sheet = new_sheet(grid, title);
    json_array_append_new(grid, sheet);
    json_object_set_new(
        reply, "addSheet",
        json_pack("{s:o}", "properties", sheet_properties(sheet, json_array_size(grid) - 1)));
    return NULL;
}

static const char *change_sheet(json_t *file, json_t *grid, const json_t *request, json_t *reply)
{
    const json_t *what;
    size_t index;
    if ((what = json_object_get(request, "addSheet")))
        return add_sheet(grid, what, reply);
    if ((what = json_object_get(request, "deleteSheet"))) {
        if (!sheet_by_id(grid, js_int(what, "sheetId", -1), &index) || json_array_size(grid) == 1)
            return "You can't remove all the sheets in a document, or there is no such sheet.";
        json_array_remove(grid, index);
        return NULL;
    }
    if ((what = json_object_get(request, "updateSheetProperties"))) {
        const json_t *properties = json_object_get(what, "properties");
        json_t *sheet = sheet_by_id(grid, js_int(properties, "sheetId", 0), &index);
        if (!sheet)
            return "There is no such sheet.";
        if (json_is_string(json_object_get(properties, "title")))
            json_object_set(sheet, "title", json_object_get(properties, "title"));
        return NULL;
    }
    if ((what = json_object_get(request, "updateSpreadsheetProperties"))) {
        json_t *title = json_object_get(json_object_get(what, "properties"), "title");
        if (json_is_string(title))
            json_object_set(file, "name", title);
        return NULL;
    }
    return "The sandbox does not know this request.";
}

void sheets_batch_update(struct call *call)
{
    char *colon = strrchr(call->args[0], ':');
    if (!colon || strcmp(colon, ":batchUpdate") != 0) {
        google_rpc_error(call, 404, NULL, "Not Found");
        return;
    }
    *colon = 0;
    json_t *grid, *request;
    json_t *file = sheets_own(call, call->args[0], &grid);
    AUTOJSON json_t *body = file ? google_body(call) : NULL;
    if (!body)
        return;
    AUTOJSON json_t *changed = json_deep_copy(grid);
    AUTOJSON json_t *replies = json_array();
    const json_t *requests = json_object_get(body, "requests");
    const char *why = json_array_size(requests) ? NULL : "Must specify at least one request.";
    size_t i;
    json_array_foreach(requests, i, request)
    {
        json_t *reply = json_object();
        json_array_append_new(replies, reply);
        if (!why)
            why = i < REQUESTS_MAX ? change_sheet(file, changed, request, reply) : "Too many.";
    }
    if (why) {
        AUTOFREE char *message = mem_printf("Invalid requests: %s", why);
        google_rpc_error(call, 400, NULL, message);
        return;
    }
    json_object_set(file, "_grid", changed);
    if (sheets_changed(call, file, changed))
        reply_json(call, 200,
                   json_pack("{s:s, s:O}", "spreadsheetId", call->args[0], "replies", replies));
}
