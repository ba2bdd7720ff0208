/* Sheets' API v4: the values of cells. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/sheets.h"

enum { RANGES_MAX = 50, CELLS_MAX = 100000, CELL_CHARACTERS_MAX = 50000 };

/* The sheet that a range names, borrowed, with the range's open ends closed; NULL after a 400. */
static json_t *find_range(struct call *call, const json_t *grid, const char *text,
                          struct a1 *ret_range)
{
    bool word = false;
    json_t *sheet = NULL;
    /* A sheet may be called "A1:B2"; Google takes its name first, too. */
    if (a1_parse(text, ret_range, &word) == ERR_OK)
        sheet = grid_sheet(grid, ret_range->sheet);
    if (!sheet) {
        AUTOFREE char *message = mem_printf("Unable to parse range: %.200s", text);
        google_rpc_error(call, 400, NULL, message);
        return NULL;
    }
    size_t rows = json_array_size(json_object_get(sheet, "rows")), columns = grid_columns(sheet);
    rows = rows > GRID_ROWS ? rows : GRID_ROWS;
    columns = columns > GRID_COLUMNS ? columns : GRID_COLUMNS;
    snprintf(ret_range->sheet, sizeof(ret_range->sheet), "%s", js_str(sheet, "title", ""));
    if (ret_range->row >= rows || ret_range->column >= columns) {
        AUTOFREE char *message =
            mem_printf("Range (%.200s) exceeds grid limits. Max rows: %zu, max columns: %zu", text,
                       rows, columns);
        google_rpc_error(call, 400, NULL, message);
        return NULL;
    }
    ret_range->row_end = ret_range->row_end < rows ? ret_range->row_end : rows;
    ret_range->column_end = ret_range->column_end < columns ? ret_range->column_end : columns;
    return sheet;
}

static json_t *range_text(const struct a1 *range)
{
    struct buf out;
    buf_init(&out, 1024);
    a1_write(&out, range);
    json_t *text = json_string(buf_text(&out));
    buf_fini(&out);
    return text;
}

static bool is_word(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

static json_t *value_range(struct call *call, const json_t *sheet, const struct a1 *range)
{
    const char *render = call_query(call, "valueRenderOption");
    const char *dimension = call_query(call, "majorDimension");
    bool by_column = is_word(dimension, "COLUMNS");
    json_t *values = grid_read(sheet, range,
                               is_word(render, "FORMULA")             ? GRID_FORMULA
                               : is_word(render, "UNFORMATTED_VALUE") ? GRID_UNFORMATTED
                                                                      : GRID_FORMATTED,
                               by_column);
    json_t *answer = json_pack("{s:o, s:s}", "range", range_text(range), "majorDimension",
                               by_column ? "COLUMNS" : "ROWS");
    if (json_array_size(values))
        json_object_set(answer, "values", values);
    json_decref(values);
    return answer;
}

void sheets_values_get(struct call *call)
{
    json_t *grid;
    struct a1 range;
    const json_t *file = sheets_own(call, call->args[0], &grid);
    const json_t *sheet = file ? find_range(call, grid, call->args[1], &range) : NULL;
    if (sheet)
        reply_json(call, 200, value_range(call, sheet, &range));
}

/* ?ranges, repeated; within a batch the first alone. */
static const char *nth_range(struct call *call, unsigned nth)
{
    if (call->inner)
        return nth ? NULL : call_query(call, "ranges");
    return http_request_query_nth(call->request, "ranges", nth);
}

void sheets_values_batch_get(struct call *call)
{
    json_t *grid;
    struct a1 range;
    const char *wanted;
    AUTOJSON json_t *found = json_array();
    if (!sheets_own(call, call->args[0], &grid))
        return;
    for (unsigned i = 0; i < RANGES_MAX && (wanted = nth_range(call, i)); i++) {
        const json_t *sheet = find_range(call, grid, wanted, &range);
        if (!sheet)
            return;
        json_array_append_new(found, value_range(call, sheet, &range));
    }
    reply_json(call, 200,
               json_pack("{s:s, s:O}", "spreadsheetId", call->args[0], "valueRanges", found));
}

/* What is to be written: rows of plain cells, no more than the range has room for. */
struct writing {
    json_t *values;
    size_t rows, columns;
};

static json_t *by_rows(const json_t *values, bool by_column)
{
    size_t i, j;
    json_t *line, *value, *rows = json_array();
    if (!by_column) {
        json_decref(rows);
        return json_incref((json_t *)values);
    }
    json_array_foreach(values, i, line)
    {
        json_array_foreach(line, j, value)
        {
            while (json_array_size(rows) <= j)
                json_array_append_new(rows, json_array());
            json_t *row = json_array_get(rows, j);
            while (json_array_size(row) < i)
                json_array_append_new(row, json_null());
            json_array_append(row, value);
        }
    }
    return rows;
}

static const char *check_values(const json_t *values, struct writing *writing)
{
    size_t i, j, cells = 0;
    json_t *line, *value;
    if (!json_is_array(values))
        return "Invalid value at 'data.values'";
    json_array_foreach(values, i, line)
    {
        if (!json_is_array(line))
            return "Invalid values: each must be a list.";
        json_array_foreach(line, j, value)
        {
            if (json_is_array(value) || json_is_object(value))
                return "Invalid values: struct_value, list_value are not allowed.";
            if (json_string_length(value) > CELL_CHARACTERS_MAX)
                return "Your input contains more than the maximum of 50000 characters in a single "
                       "cell.";
        }
        writing->columns = j > writing->columns ? j : writing->columns;
        cells += j;
    }
    writing->rows = json_array_size(values);
    return cells > CELLS_MAX ? "Too many cells for the sandbox." : NULL;
}

static bool read_values(struct call *call, const json_t *body, struct writing *ret_writing)
{
    json_t *values = by_rows(json_object_get(body, "values"),
                             is_word(js_str(body, "majorDimension", NULL), "COLUMNS"));
    *ret_writing = (struct writing){.values = values};
    const char *why = check_values(values, ret_writing);
    if (!why)
        return true;
    json_decref(values);
    google_rpc_error(call, 400, NULL, why);
    return false;
}

/* ?valueInputOption, or the body's. */
static bool read_option(struct call *call, const char *option, bool *ret_entered)
{
    *ret_entered = is_word(option, "USER_ENTERED");
    if (*ret_entered || is_word(option, "RAW"))
        return true;
    google_rpc_error(call, 400, NULL, "'valueInputOption' is required but not specified");
    return false;
}

static json_t *written(struct call *call, const struct a1 *at, const struct writing *writing,
                       size_t cells)
{
    struct a1 range = *at;
    range.row_end = range.row + (writing->rows ? writing->rows : 1);
    range.column_end = range.column + (writing->columns ? writing->columns : 1);
    return json_pack("{s:s, s:o, s:I, s:I, s:I}", "spreadsheetId", call->args[0], "updatedRange",
                     range_text(&range), "updatedRows", (json_int_t)writing->rows, "updatedColumns",
                     (json_int_t)writing->columns, "updatedCells", (json_int_t)cells);
}

/* NULL after an error answer. */
static json_t *write_range(struct call *call, const json_t *grid, const char *text,
                           const json_t *body, bool entered)
{
    struct a1 range;
    struct writing writing;
    json_t *answer = NULL;
    json_t *sheet = find_range(call, grid, text, &range);
    if (!sheet || !read_values(call, body, &writing))
        return NULL;
    bool single = range.row_end == range.row + 1 && range.column_end == range.column + 1;
    if (!single && (writing.rows > range.row_end - range.row ||
                    writing.columns > range.column_end - range.column)) {
        google_rpc_error(call, 400, NULL,
                         "Requested writing within the range, but tried writing "
                         "outside of it.");
    } else {
        size_t cells = grid_write(sheet, range.row, range.column, writing.values, entered);
        answer = written(call, &range, &writing, cells);
    }
    json_decref(writing.values);
    return answer;
}

void sheets_values_update(struct call *call)
{
    json_t *grid;
    bool entered;
    json_t *file = sheets_own(call, call->args[0], &grid);
    AUTOJSON json_t *body = file ? google_body(call) : NULL;
    if (!body || !read_option(call, call_query(call, "valueInputOption"), &entered))
        return;
    json_t *answer = write_range(call, grid, call->args[1], body, entered);
    if (answer && sheets_changed(call, file, grid))
        reply_json(call, 200, answer);
    else
        json_decref(answer);
}

void sheets_values_batch_update(struct call *call)
{
    json_t *grid, *part, *file = sheets_own(call, call->args[0], &grid);
    AUTOJSON json_t *body = file ? google_body(call) : NULL;
    bool entered;
    size_t i;
    if (!body || !read_option(call, js_str(body, "valueInputOption", NULL), &entered))
        return;
    AUTOJSON json_t *changed = json_deep_copy(grid);
    AUTOJSON json_t *responses = json_array();
    json_array_foreach(json_object_get(body, "data"), i, part)
    {
        json_t *one = i < RANGES_MAX
                          ? write_range(call, changed, js_str(part, "range", ""), part, entered)
                          : NULL;
        if (!one)
            return;
        json_array_append_new(responses, one);
    }
    json_object_set(file, "_grid", changed);
    if (sheets_changed(call, file, changed))
        reply_json(call, 200,
                   json_pack("{s:s, s:O}", "spreadsheetId", call->args[0], "responses", responses));
}

/* Behind the last row that holds something. */
static void append(struct call *call, json_t *file, const json_t *grid, const char *text)
{
    struct a1 range, table;
    struct writing writing;
    bool entered;
    AUTOJSON json_t *body = google_body(call);
    json_t *sheet = body ? find_range(call, grid, text, &range) : NULL;
    if (!sheet || !read_option(call, call_query(call, "valueInputOption"), &entered) ||
        !read_values(call, body, &writing))
        return;
    size_t rows = grid_rows(sheet);
    table = range;
    table.row_end = rows;
    table.column_end = grid_columns(sheet);
    range.row = rows > range.row ? rows : range.row;
    if (range.row + writing.rows > GRID_ROWS_MAX) {
        google_rpc_error(call, 400, NULL, "The spreadsheet is too large for the sandbox.");
    } else {
        size_t cells = grid_write(sheet, range.row, range.column, writing.values, entered);
        json_t *answer = json_pack("{s:s, s:o}", "spreadsheetId", call->args[0], "updates",
                                   written(call, &range, &writing, cells));
        if (rows > table.row && table.column_end > table.column)
            json_object_set_new(answer, "tableRange", range_text(&table));
        if (sheets_changed(call, file, grid))
            reply_json(call, 200, answer);
        else
            json_decref(answer);
    }
    json_decref(writing.values);
}

static void clear(struct call *call, json_t *file, const json_t *grid, const char *text)
{
    struct a1 range;
    json_t *sheet = find_range(call, grid, text, &range);
    if (!sheet)
        return;
    json_t *rows = json_object_get(sheet, "rows");
    for (size_t row = range.row; row < range.row_end && row < json_array_size(rows); row++) {
        json_t *line = json_array_get(rows, row);
        for (size_t i = range.column; i < range.column_end && i < json_array_size(line); i++)
            json_array_set_new(line, i, json_null());
    }
    if (sheets_changed(call, file, grid))
        reply_json(call, 200,
                   json_pack("{s:s, s:o}", "spreadsheetId", call->args[0], "clearedRange",
                             range_text(&range)));
}

/* values/RANGE:append and values/RANGE:clear. */
void sheets_values_post(struct call *call)
{
    char *verb = strrchr(call->args[1], ':');
    bool known = verb && (strcmp(verb, ":append") == 0 || strcmp(verb, ":clear") == 0);
    json_t *grid;
    if (!known) {
        google_rpc_error(call, 404, NULL, "Not Found");
        return;
    }
    json_t *file = sheets_own(call, call->args[0], &grid);
    if (!file)
        return;
    bool appends = strcmp(verb, ":append") == 0;
    *verb = 0;
    if (appends)
        append(call, file, grid, call->args[1]);
    else
        clear(call, file, grid, call->args[1]);
}
