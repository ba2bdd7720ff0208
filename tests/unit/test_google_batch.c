/* Google's batch requests, and what may come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "services/google/batch.h"

static void requests_are_written(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    batch_add(&out, "b", 0, "GET", "/x?y=1", NULL);
    batch_add(&out, "b", 1, "POST", "/z", "{}");
    batch_end(&out, "b");
    assert_string_equal(buf_text(&out),
                        "--b\r\nContent-Type: application/http\r\nContent-ID: <call-0>\r\n\r\n"
                        "GET /x?y=1 HTTP/1.1\r\nAccept: application/json\r\n\r\n\r\n"
                        "--b\r\nContent-Type: application/http\r\nContent-ID: <call-1>\r\n\r\n"
                        "POST /z HTTP/1.1\r\nAccept: application/json\r\n"
                        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}\r\n"
                        "--b--\r\n");
    buf_fini(&out);
}

#define PART(id, status, body)                                                            \
    "--x\r\nContent-Type: application/http\r\nContent-ID: <response-call-" id ">\r\n\r\n" \
    "HTTP/1.1 " status " Words\r\nContent-Type: application/json\r\n\r\n" body "\r\n"
#define TYPE "multipart/mixed; boundary=x"

static void expect(const char *type, const char *text, size_t count, const char *expected)
{
    struct batch_answer answers[BATCH_PARTS_MAX];
    char got[4096] = "";
    if (batch_parse(type, text, strlen(text), answers, count) != ERR_OK) {
        assert_string_equal(expected, "invalid");
        return;
    }
    for (size_t i = 0; i < count; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%d[%.*s]", answers[i].status,
                 (int)answers[i].len, answers[i].body ? answers[i].body : "");
    assert_string_equal(got, expected);
}

static void answers_are_read(void **state)
{
    (void)state;
    expect(TYPE, PART("0", "200", "{\"a\":1}") PART("1", "404", "{}") "--x--", 2,
           "200[{\"a\":1}]404[{}]");
    /* In any order; some missing; ids that were never asked for. */
    expect(TYPE, PART("2", "200", "c") PART("0", "200", "a") "--x--\r\n", 3, "200[a]0[]200[c]");
    expect(TYPE, PART("7", "200", "c") PART("99999999999999999999", "200", "d") "--x--", 1, "0[]");
    expect("multipart/mixed; boundary=\"x\"", PART("0", "200", "a") "--x--", 1, "200[a]");
    /* A boundary's text within a line is no boundary. */
    expect(TYPE, PART("0", "200", "{\"a\":\"--x\"}") "--x--", 1, "200[{\"a\":\"--x\"}]");
    /* Line ends without CR, as some proxies make them; no end at all; no body. */
    expect(TYPE, "--x\nContent-ID: <response-call-0>\n\nHTTP/1.1 204 No\n\n\n--x--", 1, "204[]");
    expect(TYPE, PART("0", "200", "a"), 1, "200[a]");
    expect(TYPE, "preamble\r\n" PART("0", "200", "a") "--x--", 1, "200[a]");
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    expect("application/json", PART("0", "200", "a"), 1, "invalid");
    expect("multipart/mixed", PART("0", "200", "a"), 1, "invalid");
    expect("multipart/mixed; boundary=", PART("0", "200", "a"), 1, "invalid");
    expect(TYPE, "", 1, "invalid");
    expect(TYPE, "no boundary", 1, "invalid");
    expect(TYPE, "--x", 1, "0[]");
    expect(TYPE, "--x--", 1, "0[]");
    expect(TYPE, "--x\r\n\r\n--x\r\n\r\n\r\n--x", 1, "0[]");
    expect(TYPE, "--x\r\nContent-ID: <response-call-0>\r\n\r\nHTTP/1.1 2x0 OK\r\n\r\na\r\n--x--", 1,
           "0[a]");
    expect(TYPE, "--x\r\nContent-ID: <response-call-0>\r\n\r\n", 1, "0[]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_written),
        cmocka_unit_test(answers_are_read),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
