#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "libcommon/http_assets.h"
#include "tests/unit/http_ask.h"

static const char page[] = "<p>page</p>", packed[] = "(packed)", picture[] = "(picture)";

static const struct http_asset items[] = {
    {"/", "text/html; charset=utf-8", "\"e1\"", page, page + 11, packed, packed + 8},
    {"/a/picture.png", "image/png", "\"e2\"", picture, picture + 9, NULL, NULL},
};
static const struct http_assets assets = {items, 2};

struct fixture {
    struct loop *loop;
    struct http_server *server;
    struct http_ask client;
};

static void on_request(void *arg, struct http_request *request)
{
    static const struct http_header headers[] = {{"X-Mine", "1"}, {0}};
    (void)arg;
    if (!http_assets_serve(&assets, request, headers))
        http_respond(request, 404, "text/plain", "none", 4, NULL);
}

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){.loop = loop_new()};
    struct http_server_options options = {.address = "127.0.0.1",
                                          .body_max = 1024,
                                          .connections_max = 16,
                                          .streams_max = 1,
                                          .receive_timeout_ms = HTTP_ASK_MS,
                                          .answer_timeout_ms = HTTP_ASK_MS,
                                          .on_request = on_request};
    assert_int_equal(http_server_new(f.loop, &options, &f.server), ERR_OK);
    f.client = (struct http_ask){.loop = f.loop, .port = http_server_port(f.server)};
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    http_server_destroy(&f->server);
    loop_destroy(&f->loop);
    return 0;
}

static const char *ask(struct fixture *f, const char *path, const char *header)
{
    char line[64];
    snprintf(line, sizeof line, "GET %s", path);
    return http_ask(&f->client, line, header);
}

static void test_a_file(void **state)
{
    const char *answer = ask(*state, "/?x=1", "Accept: */*");
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
    assert_non_null(strstr(answer, "Content-Type: text/html; charset=utf-8\r\n"));
    assert_non_null(strstr(answer, "ETag: \"e1\"\r\n"));
    assert_non_null(strstr(answer, "X-Mine: 1\r\n"));
    assert_non_null(strstr(answer, "Cache-Control: no-cache\r\n"));
    assert_null(strstr(answer, "Content-Encoding"));
    assert_non_null(strstr(answer, "\r\n\r\n<p>page</p>"));
}

static void test_compressed_for_whom_it_suits(void **state)
{
    const char *answer = ask(*state, "/", "Accept-Encoding: br, gzip, deflate");
    assert_non_null(strstr(answer, "Content-Encoding: gzip\r\n"));
    assert_non_null(strstr(answer, "\r\n\r\n(packed)"));
    answer = ask(*state, "/", "Accept-Encoding: gzip;q=0, identity");
    assert_null(strstr(answer, "Content-Encoding"));
    answer = ask(*state, "/a/picture.png", "Accept-Encoding: gzip");
    assert_null(strstr(answer, "Content-Encoding"));
    assert_non_null(strstr(answer, "\r\n\r\n(picture)"));
}

static void test_known_already(void **state)
{
    const char *answer = ask(*state, "/", "If-None-Match: \"old\", W/\"e1\"");
    assert_memory_equal(answer, "HTTP/1.1 304 ", 13);
    assert_null(strstr(answer, "<p>"));
    assert_non_null(strstr(answer, "ETag: \"e1\"\r\n"));
    answer = ask(*state, "/", "If-None-Match: \"e2\"");
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
}

static void test_no_such_file(void **state)
{
    assert_memory_equal(ask(*state, "/a", "Accept: */*"), "HTTP/1.1 404 ", 13);
    assert_memory_equal(ask(*state, "/a/../", "Accept: */*"), "HTTP/1.1 404 ", 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_compressed_for_whom_it_suits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_known_already, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_such_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
