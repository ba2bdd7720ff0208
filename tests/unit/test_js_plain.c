/* The quick parser and writer against jansson: what they accept, the value, and the text. */
#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/js_internal.h"
#include "libcommon/js_write.h"

static const char *const samples[] = {
    "{}",
    "[]",
    "\"\"",
    "0",
    "-0",
    "-17",
    "true",
    "false",
    "null",
    " { \"a\" : [ 1 , -2 , { } , [ ] ] ,\t\"b\":\n\"x\" }\r\n",
    "{\"items\":[{\"job_id\":\"0193b1c2-0000-7000-8000-000000000000\",\"attempt\":1}]}",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"",
    "{\"\\u0061\": 1, \"b\\n\": \"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"}",
    "[999999999999999999, -999999999999999999]",
    "\"\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80\"",
};

static const char *const left_to_jansson[] = {
    "1.5",
    "1e3",
    "9223372036854775807",
    "9999999999999999999",
    "-99999999999999999999999",
    "01",
    "-",
    "+1",
    "{\"a\":1,\"a\":2}",
    "{\"a\":1,\"\\u0061\":2}",
    "{\"a\":1,}",
    "[1,]",
    "[1 2]",
    "{\"a\" 1}",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\u12g4\"",
    "\"\\x41\"",
    "\"\n\"",
    "\"\xc0\x80\"",
    "\"\xed\xa0\x80\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xe2\x82",
    "\"abc",
    "\"abc\\",
    "nul",
    "",
    " ",
    "{} {}",
};

static json_t *by_jansson(const char *text, size_t len)
{
    return json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
}

/* What is accepted is what jansson makes of it, and is written as jansson writes it. */
static bool agree(const char *text, size_t len)
{
    AUTOJSON json_t *plain = js_parse_plain(text, len);
    if (!plain)
        return false;
    AUTOJSON json_t *reference = by_jansson(text, len);
    assert_non_null(reference);
    assert_true(json_equal(plain, reference));
    char *ours = js_dump(plain);
    char *theirs = json_dumps(reference, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(ours, theirs);
    assert_int_equal(js_dump_size(plain), strlen(theirs));
    free(ours);
    free(theirs);
    return true;
}

static void test_plain_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        assert_true(agree(samples[i], strlen(samples[i])));
}

static void test_the_rest_is_left_to_jansson(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof left_to_jansson / sizeof *left_to_jansson; i++)
        assert_null(js_parse_plain(left_to_jansson[i], strlen(left_to_jansson[i])));
    assert_null(js_parse_plain("{\"a\0b\":1}", 9));
    char key[400];
    memset(key, 'k', sizeof key);
    memcpy(key, "{\"\\n", 4);
    memcpy(key + sizeof key - 8, "\\q\":1}", 7);
    assert_null(js_parse_plain(key, sizeof key - 1)); /* and nothing is leaked */
}

static void test_mutations(void **state)
{
    (void)state;
    static const char bytes[] = "\"\\{}[],:0u1-.e \xc3\xa9t\n"; /* and the NUL */
    uint32_t random = 1;
    size_t accepted = 0;
    for (int round = 0; round < 60000; round++) {
        char text[256];
        const char *sample = samples[round % (sizeof samples / sizeof *samples)];
        size_t len = strlen(sample);
        memcpy(text, sample, len);
        for (int n = 0; n < 1 + round % 3; n++) {
            random = random * 1664525 + 1013904223;
            text[(random >> 8) % len] = bytes[(random >> 24) % sizeof bytes];
        }
        accepted += agree(text, len);
    }
    assert_true(accepted > 1000);
}

static void test_long_strings(void **state)
{
    (void)state;
    enum { SIZE = 20000 };
    char text[SIZE];
    memset(text, 'x', SIZE);
    text[0] = text[SIZE - 1] = '"';
    assert_true(agree(text, SIZE));
    for (size_t i = 1; i + 2 < SIZE; i += 50)
        memcpy(text + i, "\\n", 2);
    assert_true(agree(text, SIZE));
}

static void test_dump_of_all_types(void **state)
{
    (void)state;
    AUTOJSON json_t *value =
        json_pack("{s:f, s:I, s:I, s:b, s:n, s:[], s:{}, s:s%}", "real", 0.1, "max",
                  (json_int_t)INT64_MAX, "min", (json_int_t)INT64_MIN, "yes", 1, "none", "list",
                  "map", "bytes", "\x01\x1f\"\\/\b\f\n\r\t\x7f", (size_t)11);
    char *ours = js_dump(value), *theirs = json_dumps(value, JSON_COMPACT);
    assert_string_equal(ours, theirs);
    free(ours);
    free(theirs);
}

static void test_writer(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1024);
    buf_add_char(&buf, '{');
    js_add_member(&buf, "a", "x\"y");
    js_add_member_int(&buf, "n", -5);
    js_add_key(&buf, "list");
    buf_add_char(&buf, '[');
    js_add_item(&buf, "{}", 2);
    js_add_item(&buf, "1", 1);
    buf_add_str(&buf, "]}");
    assert_string_equal(buf_text(&buf), "{\"a\":\"x\\\"y\",\"n\":-5,\"list\":[{},1]}");
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_is_accepted),
        cmocka_unit_test(test_the_rest_is_left_to_jansson),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_long_strings),
        cmocka_unit_test(test_dump_of_all_types),
        cmocka_unit_test(test_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
