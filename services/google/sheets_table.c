#include "services/google/sheets_table.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"

enum { NOTE_ROOM = 1024, RANGE_MAX = 300, NUMBER_SIZE = 40 };

bool sheets_check_values(const json_t *values, char *ret_why, size_t why_size)
{
    size_t i, j, cells = 0;
    json_t *row, *cell;
    json_array_foreach(values, i, row)
    {
        json_array_foreach(row, j, cell)
        {
            if (json_is_array(cell) || json_is_object(cell)) {
                snprintf(ret_why, why_size,
                         "Each cell of \"values\" must be a text, a number, true, false or null: "
                         "row %zu, column %zu is none of these.",
                         i + 1, j + 1);
                return false;
            }
        }
        cells += json_array_size(row);
    }
    if (cells > 0 && cells <= SHEETS_CELLS_MAX)
        return true;
    snprintf(ret_why, why_size,
             cells ? "\"values\" has more than %d cells: write them in several calls."
                   : "\"values\" must have at least one cell: a list of rows, each a list of "
                     "cells (at most %d).",
             SHEETS_CELLS_MAX);
    return false;
}

static void add_cell(struct buf *out, const json_t *cell)
{
    char number[NUMBER_SIZE];
    const char *text = json_string_value(cell);
    if (json_is_integer(cell))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(cell));
    else if (json_is_real(cell))
        snprintf(number, sizeof number, "%.15g", json_real_value(cell));
    else
        snprintf(number, sizeof number, "%s",
                 json_is_true(cell)    ? "TRUE"
                 : json_is_false(cell) ? "FALSE"
                                       : "");
    text = text ? text : number;
    bool quoted = text[strcspn(text, ",\"\r\n")] != '\0';
    buf_add_str(out, quoted ? "\"" : "");
    for (; *text; text++) {
        if (*text == '"')
            buf_add_char(out, '"');
        buf_add_char(out, *text);
    }
    buf_add_str(out, quoted ? "\"" : "");
}

/* False: it doesn't fit any more, and nothing was added. */
static bool add_row(struct buf *out, const json_t *row)
{
    struct buf line;
    size_t i;
    json_t *cell;
    buf_init(&line, out->max);
    json_array_foreach(row, i, cell)
    {
        buf_add_str(&line, i ? "," : "");
        add_cell(&line, cell);
    }
    buf_add_char(&line, '\n');
    bool fits = !line.full && out->len + line.len + NOTE_ROOM <= out->max;
    if (fits)
        buf_add(out, line.data, line.len);
    buf_fini(&line);
    return fits;
}

void sheets_show(const json_t *range, struct result *result)
{
    const json_t *values = json_object_get(range, "values");
    size_t i, shown = 0;
    json_t *row, *rows = json_array();
    buf_add_str(&result->text, "Range: ");
    text_add_line(&result->text, js_str(range, "range", ""), RANGE_MAX);
    buf_add_str(&result->text, json_array_size(values) ? "\n\n" : "\n\n(no values)\n");
    json_array_foreach(values, i, row)
    {
        if (!add_row(&result->text, row))
            break;
        json_array_append(rows, row);
        shown++;
    }
    bool complete = shown == json_array_size(values);
    if (!complete)
        buf_printf(&result->text, "\n[cut here: %zu more rows; ask for a smaller range]\n",
                   json_array_size(values) - shown);
    json_set_line(result->structured, "range", js_str(range, "range", NULL), RANGE_MAX);
    json_object_set_new(result->structured, "values", rows);
    json_object_set_new(result->structured, "complete", json_boolean(complete));
}
