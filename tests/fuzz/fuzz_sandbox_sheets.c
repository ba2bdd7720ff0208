/* Ranges, cells, partial answers and pieces of uploads as a client of the sandbox writes them. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/fields.h"
#include "services/sandbox/grid.h"
#include "services/sandbox/resumable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_range(const char *text)
{
    struct a1 range, again;
    bool word;
    struct buf out;
    if (a1_parse(text, &range, &word) != ERR_OK || !*range.sheet || range.row_end == SIZE_MAX ||
        range.column_end == SIZE_MAX)
        return;
    assert(range.row < range.row_end && range.column < range.column_end);
    buf_init(&out, 4096);
    a1_write(&out, &range);
    assert(a1_parse(buf_text(&out), &again, &word) == ERR_OK);
    assert(strcmp(again.sheet, range.sheet) == 0 && again.row == range.row &&
           again.row_end == range.row_end && again.column == range.column &&
           again.column_end == range.column_end);
    buf_fini(&out);
}

static void check_cells(const char *text)
{
    struct buf csv;
    AUTOJSON json_t *grid = grid_from_csv("S", text);
    buf_init(&csv, 64 * 1024);
    grid_to_csv(grid, &csv);
    buf_fini(&csv);
}

static void check_fields(const char *text)
{
    AUTOJSON json_t *value = json_pack("{s:i,s:[{s:{s:s}}]}", "a", 1, "b", "c", "d", "e");
    AUTOJSON json_t *picked = NULL;
    if (fields_pick(value, text, &picked) == ERR_OK)
        assert(json_is_object(picked) && json_object_size(picked) <= 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct upload_range piece;
    AUTOFREE char *text = mem_strndup((const char *)data, size);
    check_range(text);
    check_fields(text);
    if (js_is_utf8(text, strlen(text)))
        check_cells(text);
    if (upload_range_read(text, 256, &piece) == ERR_OK && !piece.query)
        assert(piece.first + piece.count <= piece.total);
    return 0;
}
