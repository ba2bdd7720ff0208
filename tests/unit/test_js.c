#include "tests/unit/unit.h"

#include "libcommon/js.h"

static enum err parse(const char *text, size_t len)
{
    json_t *value = NULL;
    char why[JS_WHY_SIZE];
    enum err err = js_parse(text, len, &value, why);
    json_decref(value);
    return err;
}

#define PARSE(literal) parse(literal, sizeof literal - 1)

static void test_parse(void **state)
{
    (void)state;
    assert_int_equal(PARSE("{\"a\": [1, 2.5, null, true]}"), ERR_OK);
    assert_int_equal(PARSE("\"text\""), ERR_OK);
    assert_int_equal(PARSE(""), ERR_INVALID);
    assert_int_equal(PARSE("{} x"), ERR_INVALID);
    assert_int_equal(PARSE("{\"a\": 1, \"a\": 2}"), ERR_INVALID);
    assert_int_equal(PARSE("\"\xff\""), ERR_INVALID);
    assert_int_equal(PARSE("\"\xed\xa0\x80\""), ERR_INVALID);
    assert_int_equal(PARSE("\"a\\u0000b\""), ERR_INVALID);
    assert_int_equal(PARSE("{\"a\"\0: 1}"), ERR_INVALID);
    assert_int_equal(PARSE("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                           "[[[[[[[[[[\""),
                     ERR_OK);
}

static void test_depth(void **state)
{
    (void)state;
    char text[200000];
    memset(text, '[', 100000);
    memset(text + 100000, ']', 100000);
    assert_int_equal(parse(text, sizeof text), ERR_INVALID);
    assert_int_equal(parse(text + 100000 - 65, 130), ERR_INVALID);
    assert_int_equal(parse(text + 100000 - 64, 128), ERR_OK);
}

static void check_capped(const char *in, size_t max, const char *expected)
{
    AUTOJSON json_t *value = js_string_capped(in, strlen(in), max, "…");
    assert_string_equal(json_string_value(value), expected);
}

static void test_capped(void **state)
{
    (void)state;
    check_capped("short", 5, "short");
    check_capped("shorter", 5, "short…");
    check_capped("a\xc3\xa4\xc3\xa4", 4, "a\xc3\xa4…");
    check_capped("a\xff z", 20, "a\xef\xbf\xbd z");
    check_capped("", 0, "");
    AUTOJSON json_t *nul = js_string_capped("a\0b", 3, 20, "");
    assert_string_equal(json_string_value(nul), "a\xef\xbf\xbd"
                                                "b");
}

static void test_members(void **state)
{
    (void)state;
    AUTOJSON json_t *o = json_pack("{s:s, s:i, s:b}", "s", "x", "i", 5, "b", 1);
    assert_string_equal(js_str(o, "s", "-"), "x");
    assert_string_equal(js_str(o, "i", "-"), "-");
    assert_int_equal(js_int(o, "i", -1), 5);
    assert_int_equal(js_int(NULL, "i", -1), -1);
    assert_true(js_bool(o, "b", false));
    char *text = js_dump(o);
    struct buf buf;
    buf_init(&buf, 100);
    js_dump_buf(o, &buf);
    assert_string_equal(buf_text(&buf), text);
    buf_fini(&buf);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_capped),
        cmocka_unit_test(test_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
