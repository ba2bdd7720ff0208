/* Mails that are built, headers and texts in odd encodings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/charset.h"
#include "services/google/extract.h"
#include "services/google/mime_build.h"

static void expect_decoded(const char *value, const char *text)
{
    AUTOFREE char *got = mime_decode_header(value);
    assert_string_equal(got, text);
}

static void headers_are_decoded(void **state)
{
    (void)state;
    expect_decoded("plain", "plain");
    expect_decoded("Grüße", "Grüße");
    expect_decoded("=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße");
    expect_decoded("=?ISO-8859-1?Q?Gr=FC=DFe?=", "Grüße");
    expect_decoded("=?utf-8?B?44GT44KT?= =?utf-8?B?44Gr44Gh44Gv?=", "こんにちは");
    expect_decoded("=?koi8-r?B?8NLJ18XU?=", "Привет");
    expect_decoded("=?nonsense?X?abc?=", "=?nonsense?X?abc?=");
    expect_decoded("=?utf-8?Q?half", "=?utf-8?Q?half");
}

static char *build(const char *to, const char *subject, const char *body)
{
    struct mime_mail mail = {.to = to, .subject = subject, .body = body};
    char why[API_WHY_SIZE] = "", *text = NULL;
    AUTOFREE char *sent_to = NULL;
    if (mime_build(&mail, &text, &sent_to, why) != ERR_OK) {
        assert_true(*why);
        return NULL;
    }
    return text;
}

static void expect_line(const char *mail, const char *line)
{
    AUTOFREE char *whole = mem_printf("\r\n%s\r\n", line);
    AUTOFREE char *text = mem_printf("\r\n%s", mail);
    if (!strstr(text, whole))
        fail_msg("no line \"%s\" in:\n%s", line, mail);
}

static void mails_are_built(void **state)
{
    (void)state;
    AUTOFREE char *plain = build("a@b.example", "Hello", "One\nTwo\n");
    expect_line(plain, "To: a@b.example");
    expect_line(plain, "Subject: Hello");
    expect_line(plain, "Content-Type: text/plain; charset=utf-8");
    assert_non_null(strstr(plain, "\r\n\r\nOne\r\nTwo\r\n"));
    AUTOFREE char *odd = build("Jörg <j@b.example>", "Grüße", "täxt");
    for (const char *c = odd; *c; c++)
        assert_true((unsigned char)*c < 0x80); /* seven bits go through everywhere */
    assert_non_null(strstr(odd, "<j@b.example>"));
}

static void expect_recipients(const char *to, const char *expected)
{
    struct mime_mail mail = {.to = to, .subject = "x", .body = "x"};
    char why[API_WHY_SIZE] = "";
    AUTOFREE char *text = NULL, *sent_to = NULL;
    assert_int_equal(mime_build(&mail, &text, &sent_to, why), ERR_OK);
    assert_string_equal(sent_to, expected);
}

static void recipients_are_said(void **state)
{
    (void)state;
    expect_recipients("a@b.example", "a@b.example");
    expect_recipients("Ann <a@b.example>, \"B, C\" <c@d.example>", "a@b.example, c@d.example");
    expect_recipients("a@b.example; Bob <c@d.example>", "a@b.example, c@d.example");
    expect_recipients("<a@b.example>,", "a@b.example");
    expect_recipients(" a@b.example ; ; \"x; \\\" y\" <c@d.example> ", "a@b.example, c@d.example");
    expect_recipients("a@b.example c@d.example", "a@b.example, c@d.example");
}

static void nothing_is_injected(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"a@b.example\r\nBcc: c@d.example", "x"},
        {"a@b.example\nBcc: c@d.example", "x"},
        {"\"x\r\nBcc: y\" <a@b.example>", "x"},
        {"a@b.example", "x\r\nBcc: c@d.example"},
        {"a@b.example", "x\rBcc: c@d.example"},
        {"a@b.example", "x\x01"},
        {"", "x"},
        {"nobody", "x"},
        {"a@", "x"},
        {"@b", "x"},
        {"<>", "x"},
        {",,,", "x"},
        {"group: a@b.example;", "x"},
        {"a@b.example, nobody", "x"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        AUTOFREE char *text = build(bad[i][0], bad[i][1], "x");
        if (text)
            fail_msg("\"%s\" was taken:\n%s", bad[i][0], text);
    }
    struct mime_mail mail = {.to = "a@b.example",
                             .subject = "=?utf-8?B?eA0KQmNjOiBj?=",
                             .body = "x",
                             .message_id = "<a@b>\r\nBcc: <c@d.example>",
                             .references = "\r\nX: y <z@z>\r\n\r\nbody"};
    char why[API_WHY_SIZE], *text = NULL;
    AUTOFREE char *sent_to = NULL;
    assert_int_equal(mime_build(&mail, &text, &sent_to, why), ERR_OK);
    assert_null(strstr(text, "\nBcc"));
    assert_null(strstr(text, "\nX:"));
    expect_line(text, "References: <z@z> <a@b> <c@d.example>");
    free(text);
}

static void expect_utf8(const char *data, size_t len, const char *declared, const char *text)
{
    size_t got_len = 0;
    AUTOFREE char *got = charset_to_utf8(data, len, declared, &got_len);
    assert_int_equal(got_len, strlen(got));
    assert_string_equal(got, text);
}

static void charsets(void **state)
{
    (void)state;
    expect_utf8("Gr\xfc\xdf"
                "e",
                5, "iso-8859-1", "Grüße");
    expect_utf8("Gr\xc3\xbc\xc3\x9f"
                "e",
                7, "iso-8859-1", "Grüße"); /* it is UTF-8, whatever it says */
    expect_utf8("\xff\xfeG\0r\0", 6, NULL, "Gr");
    expect_utf8("\xfe\xff\0G\0r", 6, "utf-8", "Gr");
    expect_utf8("\xef\xbb\xbfGr", 5, NULL, "Gr");
    expect_utf8("", 0, NULL, "");
    expect_utf8("a\0b", 3, NULL,
                "a\xef\xbf\xbd"
                "b");
    static const char japanese[] = "\x1b$B$3$s$K$A$O\x1b(B";
    expect_utf8(japanese, sizeof japanese - 1, "iso-2022-jp", "こんにちは");
    expect_utf8(japanese, sizeof japanese - 1, NULL, "こんにちは");
    expect_utf8("Hi +AOQ-", 8, "utf-7", "Hi ä");
    expect_utf8("\x1b[1mbold", 8, NULL, "\x1b[1mbold");
    static const char russian[] = "\xf0\xd2\xc9\xd7\xc5\xd4 \xcd\xc9\xd2, \xcb\xc1\xcb "
                                  "\xc4\xc5\xcc\xc1 \xd3\xc5\xc7\xcf\xc4\xce\xd1?";
    expect_utf8(russian, sizeof russian - 1, NULL, "Привет мир, как дела сегодня?");
}

static void kinds(void **state)
{
    (void)state;
    assert_int_equal(extract_kind_of("application/pdf", "x"), EXTRACT_PDF);
    assert_int_equal(extract_kind_of("application/octet-stream", "x.PDF"), EXTRACT_PDF);
    assert_int_equal(extract_kind_of("", "x.docx"), EXTRACT_DOCX);
    assert_int_equal(extract_kind_of("text/plain; charset=x", "x"), EXTRACT_TEXT);
    assert_int_equal(extract_kind_of("text/x-python", "x"), EXTRACT_TEXT);
    assert_int_equal(extract_kind_of("text/html", "x.txt"), EXTRACT_HTML);
    assert_int_equal(extract_kind_of("image/png", "x.pdf"), EXTRACT_NONE);
    assert_int_equal(extract_kind_of("application/zip", "x.zip"), EXTRACT_NONE);
    assert_int_equal(extract_kind_of("application/octet-stream", "x"), EXTRACT_NONE);
    assert_int_equal(extract_kind_named("DOCX"), EXTRACT_DOCX);
    assert_int_equal(extract_kind_named(".txt"), EXTRACT_TEXT);
    assert_int_equal(extract_kind_named("exe"), EXTRACT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_decoded),
        cmocka_unit_test(mails_are_built),
        cmocka_unit_test(recipients_are_said),
        cmocka_unit_test(nothing_is_injected),
        cmocka_unit_test(charsets),
        cmocka_unit_test(kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
