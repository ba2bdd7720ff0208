/* Documents as text, cells, the hosts of the APIs. */
#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/api_internal.h"
#include "services/google/docs_text.h"
#include "services/google/sheets_table.h"

#define RUN(text) "{\"textRun\":{\"content\":\"" text "\"}}"
#define PARAGRAPH(style, more, runs)                                             \
    "{\"paragraph\":{\"paragraphStyle\":{\"namedStyleType\":\"" style "\"}" more \
    ",\"elements\":[" runs "]}}"
#define CELL(text) "{\"content\":[" PARAGRAPH("NORMAL_TEXT", "", RUN(text "\\n")) "]}"

static void expect_text(const char *json, size_t max, const char *expected, bool full)
{
    struct buf out;
    AUTOJSON json_t *document = json_loads(json, 0, NULL);
    assert_non_null(document);
    buf_init(&out, max);
    docs_text(document, &out);
    assert_string_equal(buf_text(&out), expected);
    assert_int_equal(out.full, full);
    buf_fini(&out);
}

static void documents(void **state)
{
    (void)state;
    static const char body[] = "{\"body\":{\"content\":[{\"sectionBreak\":{}}," //
        PARAGRAPH("TITLE", "", RUN("Plan\\n")) "," PARAGRAPH("HEADING_2", "", RUN("Part\\n")) "," PARAGRAPH(
            "NORMAL_TEXT", "",
            RUN("one ") "," RUN(
                "two\\n")) "," PARAGRAPH("NORMAL_TEXT", ",\"bullet\":{\"listId\":\"a\"}",
                                         RUN("item\\n")) "," PARAGRAPH("NORMAL_TEXT",
                                                                       ",\"bullet\":{\"nestingLevel\":1}",
                                                                       RUN("below\\n")) ","
                                                                                        "{\"table\":{\"tableRows\":[{\"tableCells\":[" CELL(
                                                                                            "a") "," CELL("b") "]},"
                                                                                                               "{\"tableCells\":[" CELL(
                                                                                                                   "c") "," CELL("d") "]}]}}]}}";
    expect_text(body, 1000, "# Plan\n## Part\none two\n- item\n  - below\na | b\nc | d\n", false);
    expect_text(body, 9, "# Plan\n##", true);
    expect_text("{}", 100, "", false);
    expect_text("{\"body\":{\"content\":[{\"paragraph\":{\"elements\":[{\"textRun\":7}]}}]}}", 100,
                "", false);
}

static void tabs(void **state)
{
    (void)state;
    static const char two[] =
        "{\"tabs\":[{\"tabProperties\":{\"title\":\"One\"},\"documentTab\":{\"body\":{\"content\":[" PARAGRAPH(
            "NORMAL_TEXT", "",
            RUN("first\\n")) "]}}},"
                             "{\"tabProperties\":{\"title\":\"Two\"},\"documentTab\":{\"body\":{\"content\":[" PARAGRAPH(
                                 "NORMAL_TEXT", "", RUN("second\\n")) "]}}}]}";
    expect_text(two, 1000, "\n[tab: One]\nfirst\n\n[tab: Two]\nsecond\n", false);
}

static void a_character_is_not_cut(void **state)
{
    (void)state;
    expect_text("{\"body\":{\"content\":[" PARAGRAPH("NORMAL_TEXT", "", RUN("a\xc3\xa4")) "]}}", 2,
                "a", true);
}

static void expect_values(const char *json, bool good)
{
    char why[300] = "";
    AUTOJSON json_t *values = json_loads(json, 0, NULL);
    assert_int_equal(sheets_check_values(values, why, sizeof why), good);
    assert_int_equal(*why == '\0', good);
}

static void values_are_checked(void **state)
{
    (void)state;
    expect_values("[[1]]", true);
    expect_values("[[\"a\",1.5,true,null],[]]", true);
    expect_values("[]", false);
    expect_values("[[]]", false);
    expect_values("[[[1]]]", false);
    expect_values("[[{\"a\":1}]]", false);
    AUTOJSON json_t *many = json_array();
    char why[300] = "";
    for (int i = 0; i <= SHEETS_CELLS_MAX; i++)
        json_array_append_new(many, json_pack("[i]", i));
    assert_false(sheets_check_values(many, why, sizeof why));
}

static void cells_are_shown_as_csv(void **state)
{
    (void)state;
    struct result result;
    AUTOJSON json_t *range = json_pack("{s:s,s:[[s,i,f,b,n],[s,s]]}", "range", "Sheet1!A1:E2",
                                       "values", "a", 1, 1.5, 1, "x,\"y\"", "two\nlines");
    result_init(&result);
    result.structured = json_object();
    sheets_show(range, &result);
    assert_string_equal(buf_text(&result.text),
                        "Range: Sheet1!A1:E2\n\na,1,1.5,TRUE,\n\"x,\"\"y\"\"\",\"two\nlines\"\n");
    assert_true(js_bool(result.structured, "complete", false));
    result_fini(&result);
}

static void a_large_range_is_cut_between_rows(void **state)
{
    (void)state;
    struct result result;
    char cell[2000];
    memset(cell, 'x', sizeof cell - 1);
    cell[sizeof cell - 1] = '\0';
    json_t *rows = json_array();
    for (int i = 0; i < 200; i++)
        json_array_append_new(rows, json_pack("[s]", cell));
    AUTOJSON json_t *range = json_pack("{s:s,s:o}", "range", "A", "values", rows);
    result_init(&result);
    result.structured = json_object();
    sheets_show(range, &result);
    assert_false(result.text.full);
    assert_non_null(strstr(buf_text(&result.text), "more rows"));
    assert_false(js_bool(result.structured, "complete", true));
    assert_true(json_array_size(json_object_get(result.structured, "values")) > 100);
    result_fini(&result);
}

static void expect_url(const char *base, enum api_host host, const char *expected)
{
    struct google_config config = {.api_base = base};
    struct api api = {.config = &config};
    AUTOFREE char *url = api_url(&api, host, "/v1/x", "a=b");
    assert_string_equal(url, expected);
}

static void hosts(void **state)
{
    (void)state;
    expect_url(NULL, API_DRIVE, "https://www.googleapis.com/v1/x?a=b");
    expect_url(NULL, API_SHEETS, "https://sheets.googleapis.com/v1/x?a=b");
    expect_url("https://www.googleapis.com", API_DOCS, "https://docs.googleapis.com/v1/x?a=b");
    expect_url("https://www.googleapis.com/", API_DOCS, "https://docs.googleapis.com/v1/x?a=b");
    expect_url("https://www.googleapis.com.example/", API_DOCS,
               "https://www.googleapis.com.example/v1/x?a=b");
    expect_url("http://127.0.0.1:1//", API_DOCS, "http://127.0.0.1:1/v1/x?a=b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents),
        cmocka_unit_test(tabs),
        cmocka_unit_test(a_character_is_not_cut),
        cmocka_unit_test(values_are_checked),
        cmocka_unit_test(cells_are_shown_as_csv),
        cmocka_unit_test(hosts),
        cmocka_unit_test(a_large_range_is_cut_between_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
