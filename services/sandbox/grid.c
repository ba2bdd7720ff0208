#include "services/sandbox/grid.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/js.h"

enum { CELL_MAX = 50000, FORMULA_DEPTH = 8, FORMULA_CELLS = 200000 };

/* A whole number as such, so that it is shown without a point. */
static json_t *number_cell(double number)
{
    bool small = number > -1e15 && number < 1e15;
    return small && (double)(json_int_t)number == number ? json_integer((json_int_t)number)
                                                         : json_real(number);
}

/* As if a user had typed it. */
static json_t *entered_cell(const char *text)
{
    char *end = NULL;
    size_t len = strlen(text);
    double number = strtod(text, &end);
    if (*text == '\'')
        return json_string(text + 1);
    if (*text == '=' && text[1])
        return json_pack("{s:s}", "f", text);
    if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0)
        return json_boolean(len == 4);
    if (len && !*end && strspn(text, "+-.0123456789eE") == len && isfinite(number))
        return number_cell(number);
    return json_string(text);
}

/* CSV */

/* One field; moves `at` behind it, onto a comma, a line's end or the end. */
static json_t *read_field(const char **at)
{
    struct buf text;
    const char *p = *at;
    buf_init(&text, CELL_MAX);
    bool quoted = *p == '"';
    for (p += quoted; *p && (quoted || !strchr(",\r\n", *p)); p++) {
        if (quoted && *p == '"' && *++p != '"')
            break;
        buf_add_char(&text, *p);
    }
    json_t *cell = entered_cell(buf_text(&text));
    buf_fini(&text);
    *at = p;
    return cell;
}

json_t *grid_from_csv(const char *title, const char *csv)
{
    json_t *rows = json_array();
    while (*csv && json_array_size(rows) < GRID_ROWS_MAX) {
        json_t *row = json_array();
        for (;;) {
            json_array_append_new(row, read_field(&csv));
            if (*csv != ',')
                break;
            csv++;
        }
        csv += strcspn(csv, "\n"); /* what follows a closing quote is lost */
        csv += *csv == '\n';
        json_array_append_new(rows, row);
    }
    return json_pack("[{s:i, s:s, s:o}]", "sheetId", 0, "title", title, "rows", rows);
}

static json_t *cell_at(const json_t *sheet, size_t row, size_t column)
{
    return json_array_get(json_array_get(json_object_get(sheet, "rows"), row), column);
}

static bool is_empty(const json_t *cell)
{
    return !cell || json_is_null(cell) || (json_is_string(cell) && !json_string_length(cell));
}

/* Formulas: =SUM(range), =AVERAGE(range), =COUNT(range), =CELL; anything else is #NAME?. */

/* Formulas of formulas of ranges grow without end: the cells that those of one read look at are
 * counted. */
struct effort {
    int depth;
    size_t cells;
};

static json_t *evaluate(const json_t *sheet, const char *formula, struct effort *effort);

static json_t *value_at(const json_t *sheet, size_t row, size_t column, struct effort *effort)
{
    json_t *cell = cell_at(sheet, row, column);
    const char *formula = js_str(cell, "f", NULL);
    effort->cells += effort->depth > 0;
    if (!formula)
        return json_incref(cell);
    if (effort->depth > FORMULA_DEPTH || effort->cells > FORMULA_CELLS)
        return json_string("#REF!");
    effort->depth++;
    json_t *value = evaluate(sheet, formula, effort);
    effort->depth--;
    return value;
}

static json_t *aggregate(const json_t *sheet, const struct a1 *range, const char *name,
                         struct effort *effort)
{
    double sum = 0;
    size_t count = 0, rows = grid_rows(sheet), columns = grid_columns(sheet);
    for (size_t row = range->row; row < range->row_end && row < rows; row++) {
        for (size_t column = range->column; column < range->column_end && column < columns;
             column++) {
            if (effort->cells > FORMULA_CELLS)
                return json_string("#REF!");
            AUTOJSON json_t *value = value_at(sheet, row, column, effort);
            if (!json_is_number(value))
                continue;
            sum += json_number_value(value);
            count++;
        }
    }
    if (strcasecmp(name, "COUNT") == 0)
        return json_integer((json_int_t)count);
    if (strcasecmp(name, "AVERAGE") == 0)
        return count ? json_real(sum / (double)count) : json_string("#DIV/0!");
    return number_cell(sum);
}

static json_t *evaluate(const json_t *sheet, const char *formula, struct effort *effort)
{
    char name[16], inside[64];
    struct a1 range;
    bool word;
    int found = sscanf(formula, "=%15[A-Za-z](%63[A-Za-z0-9:$])", name, inside);
    if (found == 2 && a1_parse(inside, &range, &word) == ERR_OK && !word &&
        (strcasecmp(name, "SUM") == 0 || strcasecmp(name, "AVERAGE") == 0 ||
         strcasecmp(name, "COUNT") == 0))
        return aggregate(sheet, &range, name, effort);
    if (a1_parse(formula + 1, &range, &word) == ERR_OK && !word && !*range.sheet)
        return value_at(sheet, range.row, range.column, effort);
    return json_string("#NAME?");
}

static json_t *formatted(json_t *value)
{
    char text[64];
    if (json_is_boolean(value))
        snprintf(text, sizeof(text), "%s", json_is_true(value) ? "TRUE" : "FALSE");
    else if (json_is_number(value))
        snprintf(text, sizeof(text), "%.15g", json_number_value(value));
    else
        return value && !json_is_null(value) ? value : json_string("");
    json_decref(value);
    return json_string(text);
}

static json_t *render_cell(const json_t *sheet, size_t row, size_t column, enum grid_render render,
                           struct effort *effort)
{
    const char *formula = js_str(cell_at(sheet, row, column), "f", NULL);
    if (formula && render == GRID_FORMULA)
        return json_string(formula);
    json_t *value = value_at(sheet, row, column, effort);
    if (render == GRID_FORMATTED)
        return formatted(value);
    return value && !json_is_null(value) ? value : json_string("");
}

/* Ranges */

json_t *grid_sheet(const json_t *grid, const char *title)
{
    size_t i;
    json_t *sheet;
    json_array_foreach(grid, i, sheet)
    {
        if (!*title || strcasecmp(js_str(sheet, "title", ""), title) == 0)
            return sheet;
    }
    return NULL;
}

size_t grid_rows(const json_t *sheet)
{
    const json_t *rows = json_object_get(sheet, "rows");
    for (size_t n = json_array_size(rows); n > 0; n--) {
        const json_t *row = json_array_get(rows, n - 1);
        for (size_t i = 0; i < json_array_size(row); i++)
            if (!is_empty(json_array_get(row, i)))
                return n;
    }
    return 0;
}

size_t grid_columns(const json_t *sheet)
{
    size_t i, widest = 0;
    json_t *row;
    json_array_foreach(json_object_get(sheet, "rows"), i, row)
    {
        widest = json_array_size(row) > widest ? json_array_size(row) : widest;
    }
    return widest;
}

static void trim(json_t *list)
{
    while (json_array_size(list)) {
        const json_t *last = json_array_get(list, json_array_size(list) - 1);
        if (json_is_array(last) ? json_array_size(last) : !is_empty(last))
            return;
        json_array_remove(list, json_array_size(list) - 1);
    }
}

json_t *grid_read(const json_t *sheet, const struct a1 *range, enum grid_render render,
                  bool by_column)
{
    json_t *lines = json_array();
    struct effort effort = {0};
    size_t rows = grid_rows(sheet), columns = grid_columns(sheet);
    size_t row_end = range->row_end < rows ? range->row_end : rows;
    size_t column_end = range->column_end < columns ? range->column_end : columns;
    size_t first = by_column ? range->column : range->row;
    size_t last = by_column ? column_end : row_end;
    for (size_t i = first; i < last; i++) {
        json_t *line = json_array();
        for (size_t j = by_column ? range->row : range->column;
             j < (by_column ? row_end : column_end); j++)
            json_array_append_new(line, by_column ? render_cell(sheet, j, i, render, &effort)
                                                  : render_cell(sheet, i, j, render, &effort));
        trim(line);
        json_array_append_new(lines, line);
    }
    trim(lines);
    return lines;
}

static void set_cell(json_t *sheet, size_t row, size_t column, json_t *cell)
{
    json_t *rows = json_object_get(sheet, "rows");
    while (json_array_size(rows) <= row)
        json_array_append_new(rows, json_array());
    json_t *line = json_array_get(rows, row);
    while (json_array_size(line) <= column)
        json_array_append_new(line, json_null());
    json_array_set_new(line, column, cell);
}

size_t grid_write(json_t *sheet, size_t row, size_t column, const json_t *values, bool entered)
{
    size_t i, j, count = 0;
    json_t *line, *value;
    json_array_foreach(values, i, line)
    {
        json_array_foreach(line, j, value)
        {
            if (json_is_null(value))
                continue;
            bool typed = entered && json_is_string(value);
            set_cell(sheet, row + i, column + j,
                     typed ? entered_cell(json_string_value(value)) : json_incref(value));
            count++;
        }
    }
    return count;
}

void grid_to_csv(const json_t *grid, struct buf *out)
{
    const json_t *sheet = grid_sheet(grid, "");
    struct a1 all = {.row_end = SIZE_MAX, .column_end = SIZE_MAX};
    AUTOJSON json_t *lines = grid_read(sheet, &all, GRID_FORMATTED, false);
    size_t i, j;
    json_t *line, *value;
    json_array_foreach(lines, i, line)
    {
        json_array_foreach(line, j, value)
        {
            const char *text = json_string_value(value);
            bool quoted = text && text[strcspn(text, ",\"\r\n")];
            buf_add_str(out, j ? "," : "");
            buf_add_str(out, quoted ? "\"" : "");
            for (; text && *text; text++) {
                buf_add_char(out, *text);
                if (*text == '"')
                    buf_add_char(out, '"');
            }
            buf_add_str(out, quoted ? "\"" : "");
        }
        buf_add_char(out, '\n');
    }
}
