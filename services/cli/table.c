/* Tables that fit the terminal. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/mem.h"
#include "services/cli/output.h"

enum {
    CELL_MAX = 400,
    CELL_BYTES = 4096,
    ROWS_MAX = 4096,
    COLUMNS_MAX = 12,
    GAP = 2,
    CUT_MIN = 8, /* a cell that is cut below that says nothing */
};

struct cell {
    char *text;
    enum paint paint;
};

struct table {
    const char *const *heads;
    const char *kinds;
    size_t columns;
    struct cell *cells;
    size_t count, room;
    size_t widths[COLUMNS_MAX]; /* 0: left out */
};

struct table *table_new(const char *const *heads, const char *kinds)
{
    struct table *table = mem_alloc(sizeof *table);
    table->heads = heads;
    table->kinds = kinds;
    table->columns = strnlen(kinds, COLUMNS_MAX);
    return table;
}

void table_add(struct table *table, enum paint paint, const char *text)
{
    struct buf buf;
    if (table->count == (size_t)ROWS_MAX * COLUMNS_MAX)
        return;
    if (table->count == table->room) {
        table->room = table->room ? 2 * table->room : 64;
        table->cells = mem_resize(table->cells, table->room * sizeof *table->cells);
    }
    buf_init(&buf, CELL_BYTES);
    output_clean(&buf, text, CELL_MAX);
    table->cells[table->count++] = (struct cell){buf_steal(&buf), paint};
}

void table_addf(struct table *table, enum paint paint, const char *format, ...)
{
    char text[CELL_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    table_add(table, paint, text);
}

static void measure(struct table *table)
{
    for (size_t i = 0; i < table->columns; i++) {
        table->widths[i] = output_columns(table->heads[i]);
        for (size_t cell = i; cell < table->count; cell += table->columns) {
            size_t wide = output_columns(table->cells[cell].text);
            table->widths[i] = wide > table->widths[i] ? wide : table->widths[i];
        }
    }
}

static size_t total(const struct table *table)
{
    size_t sum = 0;
    for (size_t i = 0; i < table->columns; i++)
        sum += table->widths[i] ? table->widths[i] + (sum ? GAP : 0) : 0;
    return sum;
}

/* What the column may give away. */
static size_t spare(const struct table *table, size_t column)
{
    size_t head = output_columns(table->heads[column]);
    size_t least = head > CUT_MIN ? head : CUT_MIN;
    return table->kinds[column] == 'c' && table->widths[column] > least
               ? table->widths[column] - least
               : 0;
}

/* The widest gives first, so that the narrow ones stay whole. */
static bool cut_widest(struct table *table)
{
    size_t widest = COLUMNS_MAX;
    for (size_t i = 0; i < table->columns; i++)
        if (spare(table, i) && (widest == COLUMNS_MAX || table->widths[i] > table->widths[widest]))
            widest = i;
    if (widest == COLUMNS_MAX)
        return false;
    table->widths[widest]--;
    return true;
}

static bool leave_out_last(struct table *table)
{
    for (size_t i = table->columns; i-- > 0;) {
        if (table->kinds[i] == 'd' && table->widths[i]) {
            table->widths[i] = 0;
            return true;
        }
    }
    return false;
}

static void fit(struct table *table, size_t width)
{
    while (total(table) > width)
        if (!cut_widest(table) && !leave_out_last(table))
            return;
}

static size_t last_column(const struct table *table)
{
    size_t last = 0;
    for (size_t i = 0; i < table->columns; i++)
        last = table->widths[i] ? i : last;
    return last;
}

static void print_cell(const struct table *table, size_t column, const struct cell *cell)
{
    struct buf text;
    size_t width = table->widths[column];
    bool right = table->kinds[column] == 'r', last = column == last_column(table);
    buf_init(&text, CELL_BYTES);
    output_clean(&text, cell->text, width);
    int pad = (int)(width - output_columns(buf_text(&text)));
    const char *begin = cell->paint ? output_paint(stdout, cell->paint) : "";
    printf("%*s%s%s%s%*s", right ? pad : 0, "", begin, buf_text(&text),
           *begin ? output_paint(stdout, PAINT_PLAIN) : "", last ? 0 : (right ? 0 : pad) + GAP, "");
    buf_fini(&text);
}

static void print_row(const struct table *table, const struct cell *cells)
{
    for (size_t i = 0; i < table->columns; i++)
        if (table->widths[i])
            print_cell(table, i, &cells[i]);
    putchar('\n');
}

void table_print(struct table **table_p)
{
    struct table *table = *table_p;
    struct cell heads[COLUMNS_MAX] = {0};
    size_t width = output_width(stdout);
    *table_p = NULL;
    measure(table);
    if (width)
        fit(table, width);
    for (size_t i = 0; i < table->columns; i++)
        heads[i] = (struct cell){(char *)table->heads[i], PAINT_HEAD};
    print_row(table, heads);
    for (size_t i = 0; i + table->columns <= table->count; i += table->columns)
        print_row(table, &table->cells[i]);
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i].text);
    free(table->cells);
    free(table);
}
