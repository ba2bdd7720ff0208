/* The sandbox's cells, partial answers and pieces of uploads. */
#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/fields.h"
#include "services/sandbox/grid.h"
#include "services/sandbox/resumable.h"

/* "sheet|row|row_end|column|column_end", open ends as *. */
static void expect_range(const char *text, const char *expected)
{
    struct a1 range;
    bool word;
    char ends[2][32], got[400];
    enum err err = a1_parse(text, &range, &word);
    assert_int_equal(err, expected ? ERR_OK : ERR_INVALID);
    if (err)
        return;
    snprintf(ends[0], sizeof ends[0], range.row_end == SIZE_MAX ? "*" : "%zu", range.row_end);
    snprintf(ends[1], sizeof ends[1], range.column_end == SIZE_MAX ? "*" : "%zu", range.column_end);
    snprintf(got, sizeof got, "%s|%zu|%s|%zu|%s%s", range.sheet, range.row, ends[0], range.column,
             ends[1], word ? "|word" : "");
    assert_string_equal(got, expected);
}

static void ranges(void **state)
{
    (void)state;
    expect_range("A1", "|0|1|0|1");
    expect_range("Sheet1!B2:D5", "Sheet1|1|5|1|4");
    expect_range("$B$2:$D$5", "|1|5|1|4");
    expect_range("D5:B2", "|1|5|1|4");
    expect_range("A:C", "|0|*|0|3");
    expect_range("2:4", "|1|4|0|*");
    expect_range("A2:C", "|1|*|0|3");
    expect_range("'It''s a sheet'!AA10", "It's a sheet|9|10|26|27");
    expect_range("Sheet1", "Sheet1|0|*|0|*|word");
    expect_range("'A1'", "A1|0|*|0|*|word");
    static const char *const bad[] = {"",         "!A1",           "Sheet1!",          "Sheet1!A0",
                                      "'open!A1", "Sheet1!A1:",    "A1:B2:C3",         "Sheet1!A",
                                      "''!A1",    "Sheet1!AAAAA1", "Sheet1!A99999999", "'a'b!A1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_range(bad[i], strcmp(bad[i], "A1:B2:C3") == 0 ? "A1:B2:C3|0|*|0|*|word" : NULL);
}

static void ranges_are_written(void **state)
{
    (void)state;
    static const char *const same[] = {"Sheet1!A1", "Sheet1!A1:B2", "'My sheet'!Z26:AA27",
                                       "'It''s'!ZZ1:AAA2", "'1st'!A1"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct a1 range;
        struct buf out;
        bool word;
        buf_init(&out, 500);
        assert_int_equal(a1_parse(same[i], &range, &word), ERR_OK);
        a1_write(&out, &range);
        assert_string_equal(buf_text(&out), same[i]);
        buf_fini(&out);
    }
}

static void expect_read(const json_t *grid, const char *range_text, enum grid_render render,
                        const char *expected)
{
    struct a1 range;
    bool word;
    assert_int_equal(a1_parse(range_text, &range, &word), ERR_OK);
    AUTOJSON json_t *values = grid_read(grid_sheet(grid, ""), &range, render, false);
    AUTOFREE char *text = js_dump(values);
    assert_string_equal(text, expected);
}

static void cells(void **state)
{
    (void)state;
    AUTOJSON json_t *grid = grid_from_csv("Sheet1", "a,1\n\"x,\"\"y\",2.5\n,TRUE\n");
    json_t *sheet = grid_sheet(grid, "");
    expect_read(grid, "A1:C9", GRID_FORMATTED,
                "[[\"a\",\"1\"],[\"x,\\\"y\",\"2.5\"],[\"\",\"TRUE\"]]");
    expect_read(grid, "B1:B2", GRID_UNFORMATTED, "[[1],[2.5]]");
    AUTOJSON json_t *values = json_pack("[[s,s,n],[s]]", "=SUM(B1:B2)", "'5", "7");
    assert_int_equal(grid_write(sheet, 3, 0, values, true), 3);
    expect_read(grid, "A4:C5", GRID_FORMATTED, "[[\"3.5\",\"5\"],[\"7\"]]");
    expect_read(grid, "A4:A5", GRID_FORMULA, "[[\"=SUM(B1:B2)\"],[7]]");
    assert_int_equal(grid_write(sheet, 3, 0, values, false), 3);
    expect_read(grid, "A4", GRID_UNFORMATTED, "[[\"=SUM(B1:B2)\"]]");
    assert_int_equal(grid_rows(sheet), 5);
    assert_null(grid_sheet(grid, "other"));
    struct buf csv;
    buf_init(&csv, 1000);
    grid_to_csv(grid, &csv);
    assert_string_equal(buf_text(&csv), "a,1\n\"x,\"\"y\",2.5\n,TRUE\n=SUM(B1:B2),'5\n7\n");
    buf_fini(&csv);
}

static void a_formula_that_needs_itself_ends(void **state)
{
    (void)state;
    AUTOJSON json_t *grid = grid_from_csv("Sheet1", "=A1\n=SUM(A2:A3)\n1\n");
    expect_read(grid, "A1", GRID_FORMATTED, "[[\"#REF!\"]]");
    expect_read(grid, "A3", GRID_FORMATTED, "[[\"1\"]]");
}

/* Each cell sums up all of them: 60 to the power of the depth without a bound. */
static void formulas_of_formulas_end(void **state)
{
    (void)state;
    char csv[60 * 16] = "";
    for (int i = 0; i < 60; i++)
        strcat(csv, "=SUM(A1:A60)\n");
    AUTOJSON json_t *grid = grid_from_csv("Sheet1", csv);
    expect_read(grid, "A60", GRID_FORMATTED, "[[\"#REF!\"]]");
}

static void expect_picked(const char *fields, const char *expected)
{
    AUTOJSON json_t *value = json_loads(
        "{\"id\":1,\"files\":[{\"id\":\"a\",\"name\":\"x\",\"owner\":{\"email\":\"e\",\"me\":true}},"
        "{\"id\":\"b\"}],\"next\":\"t\"}",
        0, NULL);
    json_t *picked = NULL;
    assert_int_equal(fields_pick(value, fields, &picked), expected ? ERR_OK : ERR_INVALID);
    if (!expected)
        return;
    AUTOFREE char *text = js_dump(picked);
    assert_string_equal(text, expected);
    json_decref(picked);
}

static void partial_answers(void **state)
{
    (void)state;
    expect_picked("id", "{\"id\":1}");
    expect_picked("next,files(id)", "{\"files\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"next\":\"t\"}");
    expect_picked("files/owner/email", "{\"files\":[{\"owner\":{\"email\":\"e\"}},{}]}");
    expect_picked("files(owner(me),id)",
                  "{\"files\":[{\"id\":\"a\",\"owner\":{\"me\":true}},{\"id\":\"b\"}]}");
    expect_picked("*", "{\"id\":1,\"files\":[{\"id\":\"a\",\"name\":\"x\",\"owner\":{\"email\":"
                       "\"e\",\"me\":true}},{\"id\":\"b\"}],\"next\":\"t\"}");
    expect_picked("files.owner.me", "{\"files\":[{\"owner\":{\"me\":true}},{}]}");
    expect_picked("none", "{}");
    static const char *const bad[] = {"",    "id,",  "files(", "files(id", "files()",
                                      "a b", "(id)", "id)",    "/id",      "id//x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_picked(bad[i], NULL);
    char deep[2000];
    memset(deep, '(', sizeof deep - 1);
    for (size_t i = 0; i < sizeof deep - 1; i += 2)
        deep[i] = 'a';
    deep[sizeof deep - 1] = '\0';
    expect_picked(deep, NULL);
}

static void expect_piece(const char *text, size_t len, bool good)
{
    struct upload_range range = {.first = 77};
    assert_int_equal(upload_range_read(text, len, &range), good ? ERR_OK : ERR_INVALID);
    if (!good)
        assert_int_equal(range.first, 77);
}

static void pieces(void **state)
{
    (void)state;
    struct upload_range range;
    expect_piece(NULL, 5, true);
    expect_piece("bytes 0-4/5", 5, true);
    expect_piece("bytes 0-4/*", 5, true);
    expect_piece("bytes */5", 0, true);
    expect_piece("bytes 0-4/5", 4, false);
    expect_piece("bytes 4-0/5", 5, false);
    expect_piece("bytes 0-4/4", 5, false);
    expect_piece("bytes */5", 3, false);
    expect_piece("0-4/5", 5, false);
    expect_piece("bytes 0-4", 5, false);
    expect_piece("bytes 0-4/5x", 5, false);
    expect_piece("bytes 0-99999999999999999999/5", 5, false);
    assert_int_equal(upload_range_read("bytes 256-511/1000", 256, &range), ERR_OK);
    assert_int_equal(range.first, 256);
    assert_int_equal(range.total, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),
        cmocka_unit_test(ranges_are_written),
        cmocka_unit_test(cells),
        cmocka_unit_test(a_formula_that_needs_itself_ends),
        cmocka_unit_test(formulas_of_formulas_end),
        cmocka_unit_test(partial_answers),
        cmocka_unit_test(pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
