#include "services/sandbox/a1.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

/* One corner: letters, digits, or both. SIZE_MAX for what is not there. */
static bool read_corner(const char **at, size_t *ret_column, size_t *ret_row)
{
    const char *p = *at;
    size_t column = 0, row = 0;
    p += *p == '$';
    for (; isalpha((unsigned char)*p); p++) {
        column = column * 26 + (size_t)(toupper((unsigned char)*p) - 'A' + 1);
        if (column > A1_COLUMNS_MAX)
            return false;
    }
    p += *p == '$';
    bool digits = isdigit((unsigned char)*p);
    for (; isdigit((unsigned char)*p); p++) {
        row = row * 10 + (size_t)(*p - '0');
        if (row > A1_ROWS_MAX)
            return false;
    }
    if ((!column && !digits) || (digits && !row))
        return false;
    *ret_column = column ? column - 1 : SIZE_MAX;
    *ret_row = digits ? row - 1 : SIZE_MAX;
    *at = p;
    return true;
}

static void sort_ends(size_t *from, size_t *end)
{
    if (*from != SIZE_MAX && *end != SIZE_MAX && *from > *end) {
        size_t swapped = *from;
        *from = *end;
        *end = swapped;
    }
    if (*from == SIZE_MAX && *end != SIZE_MAX) {
        *from = *end;
        *end = SIZE_MAX;
    }
    *from = *from == SIZE_MAX ? 0 : *from;
    *end = *end == SIZE_MAX ? SIZE_MAX : *end + 1;
}

static bool read_cells(const char *at, struct a1 *range)
{
    if (!read_corner(&at, &range->column, &range->row))
        return false;
    range->column_end = range->column;
    range->row_end = range->row;
    if (*at == ':') {
        at++;
        if (!read_corner(&at, &range->column_end, &range->row_end))
            return false;
    } else if (range->column == SIZE_MAX || range->row == SIZE_MAX) {
        return false; /* "A" or "7" alone is no range */
    }
    sort_ends(&range->column, &range->column_end);
    sort_ends(&range->row, &range->row_end);
    return !*at;
}

/* A quoted or plain name; moves `at` behind it. */
static bool read_sheet(const char **at, char sheet[A1_SHEET_SIZE])
{
    size_t n = 0;
    const char *p = *at;
    bool quoted = *p == '\'';
    for (p += quoted; *p && (quoted || *p != '!'); p++) {
        if (quoted && *p == '\'') {
            if (p[1] != '\'')
                break;
            p++;
        }
        if (n == A1_SHEET_SIZE - 1)
            return false;
        sheet[n++] = *p;
    }
    sheet[n] = 0;
    if (quoted && *p++ != '\'')
        return false;
    *at = p;
    return n > 0;
}

enum err a1_parse(const char *text, struct a1 *ret_range, bool *ret_word)
{
    struct a1 range = {0};
    const char *at = text;
    bool word = false;
    if (!strchr(text, '!') && *text != '\'' && read_cells(text, &range)) {
        range.sheet[0] = 0;
    } else if (!read_sheet(&at, range.sheet)) {
        return ERR_INVALID;
    } else if (*at) {
        if (*at != '!' || !read_cells(at + 1, &range))
            return ERR_INVALID;
    } else {
        word = true;
        range.row = range.column = 0;
        range.row_end = range.column_end = SIZE_MAX;
    }
    *ret_range = range;
    *ret_word = word;
    return ERR_OK;
}

static void write_column(struct buf *out, size_t column)
{
    char letters[8];
    size_t n = 0;
    for (size_t rest = column + 1; rest && n < sizeof(letters); rest = (rest - 1) / 26)
        letters[n++] = (char)('A' + (rest - 1) % 26);
    while (n)
        buf_add_char(out, letters[--n]);
}

static void write_sheet(struct buf *out, const char *sheet)
{
    bool plain = isalpha((unsigned char)*sheet);
    for (const char *p = sheet; *p; p++)
        plain = plain && (isalnum((unsigned char)*p) || *p == '_');
    if (!plain)
        buf_add_char(out, '\'');
    for (; *sheet; sheet++) {
        if (*sheet == '\'')
            buf_add_char(out, '\'');
        buf_add_char(out, *sheet);
    }
    buf_add_str(out, plain ? "!" : "'!");
}

void a1_write(struct buf *out, const struct a1 *range)
{
    write_sheet(out, range->sheet);
    write_column(out, range->column);
    buf_printf(out, "%zu", range->row + 1);
    if (range->row_end == range->row + 1 && range->column_end == range->column + 1)
        return;
    buf_add_char(out, ':');
    write_column(out, range->column_end - 1);
    buf_printf(out, "%zu", range->row_end);
}
