/* Readable text out of messages and HTML that anyone may have written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/html.h"
#include "services/google/mime.h"

static json_t *part(const char *type, const char *text)
{
    AUTOFREE char *data = crypto_base64url_encode(text, strlen(text));
    AUTOFREE char *padded = mem_printf("%s%.*s", data, (int)((4 - strlen(data) % 4) % 4), "===");
    return json_pack("{s:s,s:s,s:{s:s,s:i}}", "mimeType", type, "filename", "", "body", "data",
                     padded, "size", (int)strlen(text));
}

static json_t *multi(const char *type, json_t *a, json_t *b)
{
    return json_pack("{s:s,s:[o,o]}", "mimeType", type, "parts", a, b);
}

static void expect_text(json_t *payload, const char *text)
{
    struct buf out;
    buf_init(&out, 65536);
    mime_text(payload, &out);
    assert_string_equal(buf_text(&out), text);
    buf_fini(&out);
    json_decref(payload);
}

static void single_parts(void **state)
{
    (void)state;
    expect_text(part("text/plain", "Grüße"), "Grüße");
    expect_text(part("text/plain", ""), "");
    expect_text(part("text/html", "<p>Hi &amp; bye</p>"), "Hi & bye");
    expect_text(part("image/png", "binary"), "");
    expect_text(json_object(), "");
    expect_text(json_pack("{s:s,s:{s:s}}", "mimeType", "text/plain", "body", "data", "%%%"), "");
    expect_text(json_pack("{s:s,s:i}", "mimeType", "text/plain", "body", 1), "");
    expect_text(json_string("not an object"), "");
}

static void alternatives(void **state)
{
    (void)state;
    expect_text(multi("multipart/alternative", part("text/plain", "plain"),
                      part("text/html", "<b>html</b>")),
                "plain");
    expect_text(multi("multipart/alternative", part("text/html", "<b>html</b>"),
                      part("text/plain", "plain")),
                "plain");
    expect_text(
        multi("multipart/alternative", part("text/plain", ""), part("text/html", "<b>html</b>")),
        "html");
    expect_text(
        multi("multipart/mixed",
              multi("multipart/alternative", part("text/plain", "one"),
                    multi("multipart/related", part("text/html", "x"), part("image/png", "y"))),
              part("text/html", "two")),
        "one\n\ntwo");
}

static void attachments(void **state)
{
    (void)state;
    json_t *file = part("text/plain", "secret file");
    json_object_set_new(file, "filename", json_string("a\nb.txt"));
    json_t *payload = multi("multipart/mixed", part("text/plain", "body"), file);
    AUTOJSON json_t *list = mime_attachments(payload);
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(js_str(json_array_get(list, 0), "filename", ""), "a b.txt");
    assert_int_equal(js_int(json_array_get(list, 0), "size", 0), 11);
    expect_text(payload, "body");
}

static json_t *latin(const char *content_type)
{
    return json_pack("{s:s,s:[{s:s,s:s}],s:{s:s}}", "mimeType", "text/plain", "headers", "name",
                     "content-type", "value", content_type, "body", "data",
                     "R3L832U"); /* Gr\xfc\xdfe */
}

static void charsets(void **state)
{
    (void)state;
    json_t *payload = part("text/plain", "x");
    json_object_set_new(json_object_get(payload, "body"), "data", json_string("R3L832U"));
    /* Too little to be sure of, but it looks like Western Europe. */
    expect_text(payload, "Grüße");
    expect_text(latin("text/plain; charset=\"iso-8859-1\""), "Grüße");
    expect_text(latin("text/plain; charset=UTF-8//IGNORE"), "Grüße");
    expect_text(latin("text/plain; charset="), "Grüße");
}

static void depth_is_bounded(void **state)
{
    (void)state;
    json_t *payload = part("text/plain", "deep");
    for (int i = 0; i < 60; i++)
        payload = json_pack("{s:s,s:[o]}", "mimeType", "multipart/mixed", "parts", payload);
    expect_text(payload, "");
    payload = part("text/plain", "deep");
    for (int i = 0; i < MIME_DEPTH_MAX; i++)
        payload = json_pack("{s:s,s:[o]}", "mimeType", "multipart/alternative", "parts", payload);
    expect_text(payload, "deep");
}

static void size_is_bounded(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 10);
    json_t *payload = part("text/plain", "123456789üabc");
    mime_text(payload, &out);
    assert_string_equal(buf_text(&out), "123456789");
    assert_true(out.full);
    buf_fini(&out);
    json_decref(payload);
}

static void expect_html(const char *html, const char *text)
{
    struct buf out;
    buf_init(&out, 65536);
    html_to_text(html, strlen(html), &out);
    assert_string_equal(buf_text(&out), text);
    buf_fini(&out);
}

static void html(void **state)
{
    (void)state;
    expect_html("", "");
    expect_html("a  b\n c", "a b c");
    expect_html("<html><head><title>T</title><style>p{}</style></head><body>x</body>", "x");
    expect_html("<script>if (a</b) alert('<p>')</script>after", "after");
    expect_html("<!-- <p>hidden</p> -->shown", "shown");
    expect_html("<!-- open", "");
    expect_html("<p>one</p><p>two</p>", "one\n\ntwo");
    expect_html("one<br>two<br/>three", "one\ntwo\nthree");
    expect_html("<ul><li>a</li><li>b</li></ul>", "- a\n- b");
    expect_html("<a href=\"x>y\">link</a>", "link");
    expect_html("1 < 2 &lt; 3", "1 < 2 < 3");
    expect_html("a&nbsp;&nbsp;b", "a b");
    expect_html("<", "<");
    expect_html("<b", "");
    expect_html("<script", "");
    expect_html("<td>a</td><td>b</td>", "a b");
}

static void references(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"&#39;&#x27;&quot;", "''\""},
        {"&#8364;", "€"},
        {"&#x1F600;", "😀"},
        {"&#0;", "\xef\xbf\xbd"},
        {"&#xd800;", "\xef\xbf\xbd"},
        {"&#99999999;", "\xef\xbf\xbd"},
        {"&unknown;", "&unknown;"},
        {"&", "&"},
        {"&;", "&;"},
        {"&#;", "&#;"},
        {"&#x;", "&#x;"},
        {"&#-1;", "&#-1;"},
        {"&amp", "&amp"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out;
        buf_init(&out, 100);
        html_decode_references(cases[i][0], strlen(cases[i][0]), &out);
        assert_string_equal(buf_text(&out), cases[i][1]);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_parts),
        cmocka_unit_test(alternatives),
        cmocka_unit_test(attachments),
        cmocka_unit_test(charsets),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(html),
        cmocka_unit_test(references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
