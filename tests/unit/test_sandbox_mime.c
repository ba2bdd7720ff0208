/* The sandbox's documents: mails, uploads, Docs. */
#include "tests/unit/unit.h"

#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/data.h"
#include "services/sandbox/docs_edit.h"
#include "services/sandbox/gmail_view.h"
#include "services/sandbox/mime.h"
#include "services/sandbox/upload.h"

static json_t *mail(void)
{
    json_t *one = mail_new("1900000000000001", "1900000000000001", 0, "a@example.com",
                           "b@example.com", "Hello", "Grüße\r\n");
    json_object_set_new(one, "_html", json_string("<p>Grüße</p>"));
    mail_attach(one, "data.bin", "application/octet-stream", "\0\1\2\377", 4);
    return one;
}

static json_t *parse(const char *text)
{
    json_t *parsed = NULL;
    assert_int_equal(mime_parse(text, strlen(text), &parsed), ERR_OK);
    return parsed;
}

static void test_built_mail_is_read_back(void **state)
{
    (void)state;
    AUTOJSON json_t *one = mail();
    struct buf out;
    buf_init(&out, 1 << 20);
    mime_build(one, &out);
    AUTOJSON json_t *parsed = parse(buf_text(&out));
    assert_string_equal(js_str(parsed, "text", ""), "Grüße\r\n");
    assert_string_equal(js_str(parsed, "html", ""), "<p>Grüße</p>");
    const json_t *attachment = json_array_get(json_object_get(parsed, "attachments"), 0);
    assert_string_equal(js_str(attachment, "filename", ""), "data.bin");
    assert_string_equal(js_str(attachment, "mimeType", ""), "application/octet-stream");
    assert_string_equal(js_str(attachment, "data", ""), "AAEC_w");
    buf_fini(&out);
}

static void test_long_base64_is_read_back(void **state)
{
    (void)state;
    char bytes[1000];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7);
    for (size_t len = 1; len < sizeof(bytes); len += 37) {
        AUTOJSON json_t *one = mail_new("1", "1", 0, "a@b", "c@d", "S", "t");
        mail_attach(one, "f", "application/x", bytes, len);
        struct buf out;
        buf_init(&out, 1 << 20);
        mime_build(one, &out);
        AUTOJSON json_t *parsed = parse(buf_text(&out));
        AUTOFREE char *expected = crypto_base64url_encode(bytes, len);
        const json_t *attachment = json_array_get(json_object_get(parsed, "attachments"), 0);
        assert_string_equal(js_str(attachment, "data", ""), expected);
        buf_fini(&out);
    }
}

static void test_headers_are_decoded(void **state)
{
    (void)state;
    AUTOJSON json_t *parsed =
        parse("Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n =?utf-8?q?_an_=C3=A4lle?= now\r\n"
              "To: a@example.com,\r\n b@example.com\r\n"
              "Content-Transfer-Encoding: quoted-printable\r\n\r\nlong=\r\nline =C3=A4\r\n");
    const json_t *headers = json_object_get(parsed, "headers");
    assert_string_equal(js_str(json_array_get(headers, 0), "value", ""), "Grüße an älle now");
    assert_string_equal(js_str(json_array_get(headers, 1), "value", ""),
                        "a@example.com, b@example.com");
    assert_string_equal(js_str(parsed, "text", ""), "longline ä\r\n");
}

static void test_odd_mails(void **state)
{
    (void)state;
    json_t *parsed = NULL;
    assert_int_equal(mime_parse("", 0, &parsed), ERR_INVALID);
    assert_int_equal(mime_parse("\r\n\r\nbody", 8, &parsed), ERR_INVALID);
    static const char *const ODD[] = {"A: b",
                                      "A: =?",
                                      "A: =?x?B?",
                                      "A: =?x?B?====?=",
                                      "A:\n\n",
                                      "A: b\n\nbody",
                                      "Content-Type: multipart/mixed; boundary=x\n\n--x",
                                      "Content-Type: multipart/mixed; boundary=x\n\n--x\n\n--x--",
                                      "Content-Type: multipart/mixed; boundary=\"x\n\n--x\nA: b",
                                      NULL};
    for (int i = 0; ODD[i]; i++)
        json_decref(parse(ODD[i]));
}

static void test_gmail_payload(void **state)
{
    (void)state;
    AUTOJSON json_t *one = mail();
    AUTOJSON json_t *view = gmail_view(one, NULL);
    const json_t *payload = json_object_get(view, "payload");
    assert_string_equal(js_str(payload, "mimeType", ""), "multipart/mixed");
    const json_t *parts = json_object_get(payload, "parts");
    assert_string_equal(js_str(json_array_get(parts, 0), "mimeType", ""), "multipart/alternative");
    const char *id = js_str(json_object_get(json_array_get(parts, 1), "body"), "attachmentId", "");
    assert_non_null(gmail_find_attachment(one, id));
    assert_null(gmail_find_attachment(one, "ANGjdJ_1900000000000001_7"));
    assert_null(gmail_find_attachment(one, "nonsense"));
    assert_null(gmail_view(one, "nonsense"));
    AUTOJSON json_t *raw = gmail_view(one, "raw");
    assert_non_null(js_str(raw, "raw", NULL));
}

static void test_uploads(void **state)
{
    (void)state;
    struct upload upload;
    const char *body = "--B\r\nContent-Type: application/json\r\n\r\n{\"name\":\"x\"}\r\n--B\r\n"
                       "Content-Type: text/plain\r\n\r\nhello\r\n\r\n--B--\r\n";
    assert_int_equal(upload_split("multipart/related; boundary=\"B\"", body, strlen(body), &upload),
                     ERR_OK);
    assert_int_equal(upload.metadata_len, 12);
    assert_memory_equal(upload.data, "hello\r\n", upload.len);
    assert_int_equal(upload.len, 7);
    assert_string_equal(upload.type, "text/plain");
    for (size_t len = 0; len + 10 < strlen(body); len++)
        assert_int_equal(upload_split("multipart/related; boundary=B", body, len, &upload),
                         ERR_INVALID);
    assert_int_equal(upload_split("text/plain", body, strlen(body), &upload), ERR_INVALID);
}

static char *edit(const char *text, const char *requests)
{
    char why[DOCS_WHY_SIZE];
    json_t *list = NULL, *replies = NULL;
    char *result = NULL;
    assert_int_equal(js_parse(requests, strlen(requests), &list, NULL), ERR_OK);
    if (docs_edit(text, list, &result, &replies, why) == ERR_OK)
        json_decref(replies);
    json_decref(list);
    return result;
}

static void test_docs(void **state)
{
    (void)state;
    AUTOFREE char *inserted =
        edit("aé😀b\n", "[{\"insertText\":{\"location\":{\"index\":5},\"text\":\"X\"}}]");
    assert_string_equal(inserted, "aé😀Xb\n");
    AUTOFREE char *deleted =
        edit("abcd\n", "[{\"deleteContentRange\":{\"range\":{\"startIndex\":2,\"endIndex\":4}}}]");
    assert_string_equal(deleted, "ad\n");
    AUTOFREE char *replaced =
        edit("one One\n",
             "[{\"replaceAllText\":{\"containsText\":{\"text\":\"one\"},\"replaceText\":\"1\"}}]");
    assert_string_equal(replaced, "1 1\n");
    AUTOFREE char *appended =
        edit("a\n", "[{\"insertText\":{\"endOfSegmentLocation\":{},\"text\":\"b\"}}]");
    assert_string_equal(appended, "ab\n");
    assert_null(edit("😀\n", "[{\"insertText\":{\"location\":{\"index\":2},\"text\":\"X\"}}]"));
    assert_null(edit("a\n", "[{\"insertText\":{\"location\":{\"index\":9},\"text\":\"X\"}}]"));
    assert_null(
        edit("a\n", "[{\"deleteContentRange\":{\"range\":{\"startIndex\":1,\"endIndex\":3}}}]"));
    assert_null(edit("a\n", "[]"));
    assert_null(edit("a\n", "[{\"unknown\":{}}]"));
}

static void test_office_documents(void **state)
{
    (void)state;
    size_t len;
    AUTOFREE uint8_t *pdf = office_pdf("a (b) \\\nc", &len);
    assert_memory_equal(pdf, "%PDF-1.4", 8);
    assert_non_null(memmem(pdf, len, "(a \\(b\\) \\\\) Tj", 15));
    AUTOFREE uint8_t *docx = office_docx("a & b", &len);
    assert_memory_equal(docx, "PK\3\4", 4);
    assert_non_null(memmem(docx, len, "a &amp; b", 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_mail_is_read_back),
        cmocka_unit_test(test_long_base64_is_read_back),
        cmocka_unit_test(test_headers_are_decoded),
        cmocka_unit_test(test_odd_mails),
        cmocka_unit_test(test_gmail_payload),
        cmocka_unit_test(test_uploads),
        cmocka_unit_test(test_docs),
        cmocka_unit_test(test_office_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
