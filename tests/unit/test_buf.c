#include "tests/unit/unit.h"

#include "libcommon/buf.h"

static void test_grows_to_its_ceiling(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    for (int i = 0; i < 100; i++)
        buf_add_str(&buf, "0123456789");
    assert_int_equal(buf.len, 1000);
    assert_int_equal(buf_check(&buf), ERR_OK);
    buf_add_char(&buf, 'x');
    assert_int_equal(buf.len, 1000);
    assert_int_equal(buf_check(&buf), ERR_TOO_LARGE);
    buf_reset(&buf);
    assert_int_equal(buf_check(&buf), ERR_OK);
    assert_string_equal(buf_text(&buf), "");
    buf_fini(&buf);
}

static void test_printf_consume_steal(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100000);
    assert_string_equal(buf_text(&buf), "");
    buf_printf(&buf, "%s-%d;", "a", 7);
    buf_printf(&buf, "%0*d", 2000, 1);
    assert_int_equal(buf.len, 4 + 2000);
    buf_consume(&buf, 4);
    assert_int_equal(buf.data[0], '0');
    buf_consume(&buf, 99999);
    assert_int_equal(buf.len, 0);
    buf_add_str(&buf, "end");
    char *text = buf_steal(&buf);
    assert_string_equal(text, "end");
    free(text);
    text = buf_steal(&buf);
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_to_its_ceiling),
        cmocka_unit_test(test_printf_consume_steal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
