#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "libcommon/http_routes.h"
#include "libcommon/http_server.h"
#include "tests/unit/http_ask.h"

/* Rows that are longer than what the table knows of. */
static const struct row {
    struct http_route http;
    int answer;
} rows[] = {
    {{"GET", "/"}, 1},
    {{"GET", "/health"}, 2},
    {{"GET", "/me"}, 3},
    {{"DELETE", "/me"}, 4},
    {{"POST", "/run"}, 5},
    {{"GET", "/result/{job_id}"}, 6},
    {{"GET", "/jobs"}, 7},
    {{"GET", "/jobs/{job_id}/events"}, 8},
    {{"POST", "/jobs/{job_id}/cancel"}, 9},
    {{"POST", "/worker/drain/{id}"}, 10},
    {{"POST", "/worker/**"}, 11},
    {{"*", "/chat/**"}, 12},
};
static const struct http_routes routes = HTTP_ROUTES(rows);

static size_t row;
static char param[HTTP_PARAM_MAX + 1], allow[HTTP_ALLOW_SIZE];

static enum http_route_match match(const char *method, const char *path)
{
    return http_routes_match(&routes, method, path, &row, param, allow);
}

static void found(const char *method, const char *path, const char *pattern, const char *value)
{
    assert_int_equal(match(method, path), HTTP_ROUTE_FOUND);
    assert_string_equal(rows[row].http.pattern, pattern);
    assert_string_equal(param, value);
}

static void test_found(void **state)
{
    (void)state;
    found("GET", "/", "/", "");
    found("GET", "/health", "/health", "");
    found("GET", "/result/abc", "/result/{job_id}", "abc");
    found("GET", "/result/a b@1", "/result/{job_id}", "a b@1");
    found("GET", "/jobs", "/jobs", "");
    found("GET", "/jobs/x-1/events", "/jobs/{job_id}/events", "x-1");
    found("POST", "/jobs/x-1/cancel", "/jobs/{job_id}/cancel", "x-1");
    found("POST", "/worker/drain/a", "/worker/drain/{id}", "a");
    found("POST", "/worker/drain/a/b", "/worker/**", "");
    found("POST", "/worker/stop", "/worker/**", "");
    found("PATCH", "/chat", "/chat/**", "");
    found("POST", "/chat/", "/chat/**", "");
    found("GET", "/chat/a/b", "/chat/**", "");
}

static void test_unknown(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",       "/nope",         "/result",  "/result/",  "/result/a/b",
        "/jobs/", "/jobs//events", "/health/", "//",        "/jobs/a/events/",
        "*",      "/chatter",      "/Health",  "/{job_id}", "/result/a/"};
    row = 77;
    strcpy(param, "as before");
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        if (match("GET", paths[i]) != HTTP_ROUTE_UNKNOWN)
            fail_msg("%s is known", paths[i]);
    assert_int_equal(row, 77);
    assert_string_equal(param, "as before");
}

static void test_long_parameter(void **state)
{
    (void)state;
    char path[HTTP_PARAM_MAX + 16] = "/result/";
    memset(path + 8, 'x', HTTP_PARAM_MAX + 1);
    assert_int_equal(match("GET", path), HTTP_ROUTE_UNKNOWN);
    path[8 + HTTP_PARAM_MAX] = '\0';
    assert_int_equal(match("GET", path), HTTP_ROUTE_FOUND);
    assert_string_equal(param, path + 8);
}

static void test_wrong_method(void **state)
{
    (void)state;
    assert_int_equal(match("PUT", "/me"), HTTP_ROUTE_WRONG_METHOD);
    assert_string_equal(allow, "GET, HEAD, DELETE");
    assert_int_equal(match("GET", "/run"), HTTP_ROUTE_WRONG_METHOD);
    assert_string_equal(allow, "POST");
    assert_int_equal(match("GET", "/worker/drain/a"), HTTP_ROUTE_WRONG_METHOD);
    assert_string_equal(allow, "POST"); /* once, though two rows have it */
    assert_int_equal(match("get", "/jobs/a/cancel"), HTTP_ROUTE_WRONG_METHOD);
}

static bool on_headers(void *arg, struct http_request *request)
{
    (void)arg;
    return http_routes_find(&routes, request, &row, param);
}

static void on_request(void *arg, struct http_request *request)
{
    (void)arg;
    char body[16];
    int len = snprintf(body, sizeof(body), "row %d", rows[row].answer);
    http_respond(request, 200, "text/plain", body, (size_t)len, NULL);
}

static void has(const char *answer, const char *status, const char *text)
{
    if (strncmp(answer, status, strlen(status)) != 0 || !strstr(answer, text))
        fail_msg("not \"%s…%s\": %s", status, text, answer);
}

static void test_requests(void **state)
{
    (void)state;
    struct http_ask client = {.loop = loop_new()};
    struct http_server *server;
    struct http_server_options options = {.address = "127.0.0.1",
                                          .body_max = 1024,
                                          .connections_max = 16,
                                          .streams_max = 1,
                                          .receive_timeout_ms = HTTP_ASK_MS,
                                          .answer_timeout_ms = HTTP_ASK_MS,
                                          .on_headers = on_headers,
                                          .on_request = on_request};
    assert_int_equal(http_server_new(client.loop, &options, &server), ERR_OK);
    client.port = http_server_port(server);
    has(http_ask(&client, "GET /jobs/a%20b/events?x=/me", NULL), "HTTP/1.1 200 ", "row 8");
    assert_string_equal(param, "a b");
    has(http_ask(&client, "HEAD /me", NULL), "HTTP/1.1 200 ", "Content-Length: 5\r\n");
    has(http_ask(&client, "GET /nope", NULL), "HTTP/1.1 404 ",
        "\r\n\r\n{\"detail\":\"Not Found\"}");
    has(http_ask(&client, "PUT /me", NULL), "HTTP/1.1 405 ", "Allow: GET, HEAD, DELETE\r\n");
    has(http_ask(&client, "OPTIONS /run", NULL), "HTTP/1.1 405 ", "Allow: POST\r\n");
    has(http_ask(&client, "HEAD /run", NULL), "HTTP/1.1 405 ", "Allow: POST\r\n");
    has(http_ask(&client, "PUT /run", NULL), "HTTP/1.1 405 ",
        "\r\n\r\n{\"detail\":\"Method Not Allowed\"}");
    http_server_destroy(&server);
    loop_destroy(&client.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),          cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_long_parameter), cmocka_unit_test(test_wrong_method),
        cmocka_unit_test(test_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
