/* The HTTP client against a small server of its own: a thread for each connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/http_client.h"
#include "libcommon/mem.h"
#include "tests/unit/listener.h"

static struct listener listener;
static char base[64];
static atomic_int connections, drops, drop_connection;

/* A name server that takes its time: curl's threads find this one before libc's. */
enum { SLOW_S = 4 };
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_list)
{
    static const struct timespec pause = {SLOW_S, 0};
    if (node && strcmp(node, "slow.test") == 0) {
        nanosleep(&pause, NULL);
        return EAI_AGAIN;
    }
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, ret_list);
}

/* The server */

static void say(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void say_body(int fd, const char *head, const char *body)
{
    AUTOFREE char *out =
        mem_printf("HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
    say(fd, out);
}

/* One request's head and body into `request`; false at the end. */
static bool read_request(int fd, char *request, size_t size)
{
    size_t len = 0, need = 0;
    for (;;) {
        ssize_t n = recv(fd, request + len, size - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        request[len] = '\0';
        char *end = strstr(request, "\r\n\r\n");
        const char *length = strstr(request, "Content-Length: ");
        if (!end)
            continue;
        need = (size_t)(end + 4 - request) + (length ? (size_t)atoi(length + 16) : 0);
        if (len >= need)
            return true;
    }
}

static void send_big(int fd)
{
    char piece[1000];
    memset(piece, 'x', sizeof piece);
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    for (int i = 0; i < 100; i++)
        (void)!send(fd, piece, sizeof piece, MSG_NOSIGNAL);
}

static bool starts(const char *request, const char *line)
{
    return strncmp(request, line, strlen(line)) == 0;
}

static void answer_dates(int fd)
{
    char date[64], head[128];
    time_t later = time(NULL) + 100;
    struct tm tm;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&later, &tm));
    snprintf(head, sizeof head, "503 Busy\r\nRetry-After: %s", date);
    say_body(fd, head, "");
}

/* False: close the connection. */
static bool answer(int fd, const char *request, int number)
{
    char text[16];
    if (starts(request, "GET /conn")) {
        snprintf(text, sizeof text, "%d", number);
        say_body(fd, "200 OK\r\nContent-Type: text/plain", text);
    } else if (starts(request, "GET /error")) {
        say_body(fd,
                 "500 Oh\r\nretry-after: 7\r\nX-Should-Retry: true\r\nWWW-Authenticate: Bearer x"
                 "\r\nMcp-Session-Id: s1\r\nLocation: /else",
                 "broken");
    } else if (starts(request, "GET /ms")) {
        say_body(fd, "429 Slow\r\nRetry-After: 9\r\nretry-after-ms: 250.5", "");
    } else if (starts(request, "GET /date")) {
        answer_dates(fd);
    } else if (starts(request, "GET /big")) {
        send_big(fd);
    } else if (starts(request, "GET /cut")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        return false;
    } else if (starts(request, "GET /other")) {
        say(fd, "SSH-2.0-other\r\n");
        return false;
    } else if (starts(request, "GET /stream")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst");
    } else if (strstr(request, " /drop")) {
        /* The first request on a connection is answered, the next one ends it. */
        if (number == atomic_exchange(&drop_connection, number)) {
            drops++;
            return false;
        }
        say_body(fd, "200 OK", "kept");
    } else if (starts(request, "GET /head")) {
        say(fd, "HTTP/1.1 103 Early\r\nMcp-Session-Id: early\r\n\r\n"
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nMcp-Session-Id: s2\r\n"
                "WWW-Authenticate: Basic\r\nWWW-Authenticate: Bearer\r\n\r\n");
    } else if (!starts(request, "GET /hang")) {
        say_body(fd, "201 Made", request);
    }
    return true;
}

static void *serve_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    int number = ++connections;
    char request[4096];
    while (read_request(fd, request, sizeof request) && answer(fd, request, number))
        ;
    close(fd);
    return NULL;
}

static int start_server(void **state)
{
    (void)state;
    int error = listener_start(&listener, serve_connection);
    snprintf(base, sizeof base, "http://127.0.0.1:%d", listener.port);
    return error;
}

/* The outcome of a call, copied */

struct outcome {
    bool done;
    enum err error;
    struct http_answer answer;
    char body[4096], www[64], session[64], location[64], should[16], type[64], data[64];
    bool abort;
    int heads, head_status;
    char head[128];
    enum http_body want;
    struct http_client *client;
    uint64_t cancel_id, other_id;
};

static void keep(struct outcome *outcome, enum err error, const struct http_answer *answer)
{
    assert_false(outcome->done);
    outcome->done = true;
    outcome->error = error;
    outcome->answer = *answer;
    snprintf(outcome->body, sizeof outcome->body, "%s", answer->body);
    snprintf(outcome->www, sizeof outcome->www, "%s", answer->www_authenticate);
    snprintf(outcome->session, sizeof outcome->session, "%s", answer->session_id);
    snprintf(outcome->location, sizeof outcome->location, "%s", answer->location);
    snprintf(outcome->should, sizeof outcome->should, "%s", answer->should_retry);
    snprintf(outcome->type, sizeof outcome->type, "%s", answer->content_type);
}

static void on_done(void *arg, enum err error, const struct http_answer *answer)
{
    keep(arg, error, answer);
}

static bool is_done(void *arg)
{
    return ((struct outcome *)arg)->done;
}

static bool on_data(void *arg, const char *data, size_t len)
{
    struct outcome *outcome = arg;
    snprintf(outcome->data, sizeof outcome->data, "%.*s", (int)len, data);
    if (outcome->cancel_id)
        http_client_cancel(outcome->client, outcome->cancel_id);
    if (outcome->other_id)
        http_client_cancel(outcome->client, outcome->other_id);
    return !outcome->abort;
}

static enum http_body on_head(void *arg, const struct http_answer *head)
{
    struct outcome *outcome = arg;
    outcome->heads++;
    assert_string_equal(outcome->data, "");
    assert_int_equal(head->len, 0);
    outcome->head_status = head->status;
    snprintf(outcome->head, sizeof outcome->head, "%s|%s|%s", head->content_type, head->session_id,
             head->www_authenticate);
    return outcome->want;
}

static const char *const no_headers[] = {NULL};

static struct http_call get(char *url, const char *path)
{
    snprintf(url, 256, "%s%s", base, path);
    return (struct http_call){
        .method = "GET", .url = url, .headers = no_headers, .timeout_ms = 5000, .answer_max = 4000};
}

/* Both forms give the same; `loops` picks one. */
static bool loops;

static void run(const struct http_call *call, struct outcome *outcome)
{
    if (!loops) {
        struct http_answer_owned owned;
        enum err error = http_fetch(NULL, call, &owned);
        keep(outcome, error, &owned.answer);
        if (!error)
            http_answer_free(&owned);
        return;
    }
    struct loop *loop = loop_new();
    struct http_client *client = http_client_new(loop, NULL);
    assert_int_not_equal(http_client_send(client, call, on_done, outcome), 0);
    assert_false(outcome->done);
    assert_true(loop_run_until(loop, is_done, outcome, 10000));
    http_client_destroy(&client);
    loop_destroy(&loop);
}

static void run_get(const char *path, struct outcome *outcome)
{
    char url[256];
    struct http_call call = get(url, path);
    *outcome = (struct outcome){0};
    run(&call, outcome);
}

static void check_answers(void **state)
{
    (void)state;
    struct outcome got;
    run_get("/conn?secret=1", &got);
    assert_int_equal(got.error, ERR_OK);
    assert_int_equal(got.answer.status, 200);
    assert_string_equal(got.type, "text/plain");
    assert_string_equal(got.answer.error, "");
    assert_int_equal(got.answer.retry_after_ms, -1);

    run_get("/error", &got);
    assert_int_equal(got.error, ERR_OK);
    assert_int_equal(got.answer.status, 500);
    assert_string_equal(got.body, "broken");
    assert_int_equal(got.answer.retry_after_ms, 7000);
    assert_string_equal(got.should, "true");
    assert_string_equal(got.www, "Bearer x");
    assert_string_equal(got.session, "s1");
    assert_string_equal(got.location, "/else");

    run_get("/ms", &got);
    assert_int_equal(got.answer.status, 429);
    assert_int_equal(got.answer.retry_after_ms, 250);
    run_get("/date", &got);
    assert_in_range(got.answer.retry_after_ms, 90000, 100000);
}

static void check_post(void **state)
{
    (void)state;
    char url[256];
    struct http_call call = get(url, "/echo");
    struct outcome got = {0};
    static const char *const headers[] = {"Authorization: Bearer abc", "Content-Type: a/b",
                                          "X-Empty: ", NULL};
    call.method = "POST";
    call.headers = headers;
    call.body = "body\0text";
    call.body_len = 9;
    run(&call, &got);
    assert_int_equal(got.answer.status, 201);
    assert_non_null(strstr(got.body, "POST /echo HTTP/1.1\r\n"));
    assert_non_null(strstr(got.body, "Authorization: Bearer abc\r\n"));
    assert_non_null(strstr(got.body, "Content-Type: a/b\r\n"));
    assert_non_null(strstr(got.body, "X-Empty:\r\n"));
    assert_non_null(strstr(got.body, "Content-Length: 9\r\n"));
    assert_null(strstr(got.body, "Expect"));

    got = (struct outcome){0};
    call = get(url, "/echo");
    call.method = "DELETE";
    run(&call, &got);
    assert_non_null(strstr(got.body, "DELETE /echo HTTP/1.1\r\n"));
}

static void check_failures(void **state)
{
    (void)state;
    struct outcome got;
    run_get("/big", &got);
    assert_int_equal(got.error, ERR_TOO_LARGE);
    run_get("/cut", &got);
    assert_int_equal(got.error, ERR_PEER_LOST);
    assert_true(got.answer.sent);
    assert_int_equal(got.answer.status, 0);

    got = (struct outcome){0};
    run_get("/other", &got); /* no HTTP: the next one may be */
    assert_int_equal(got.error, ERR_PEER_LOST);

    char url[256];
    struct http_call call = get(url, "/hang?token=hidden");
    call.timeout_ms = 100;
    got = (struct outcome){0};
    run(&call, &got);
    assert_int_equal(got.error, ERR_TIMEOUT);
    assert_non_null(strstr(got.answer.error, "127.0.0.1"));
    assert_null(strstr(got.answer.error, "hidden"));

    call.url = "http://127.0.0.1:1/?token=hidden";
    got = (struct outcome){0};
    run(&call, &got);
    assert_int_equal(got.error, ERR_PEER_LOST);
    assert_non_null(strstr(got.answer.error, "refused"));
    assert_false(got.answer.sent);
    assert_null(strstr(got.answer.error, "hidden"));
}

static void check_refused(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "file:///etc/passwd",    "gopher://127.0.0.1/",       "nonsense", "http://a b/",
        "http://u:p@127.0.0.1/", "http://127.0.0.1/\r\nX: y", "",         NULL};
    for (const char *const *url = urls; *url; url++) {
        struct outcome got = {0};
        struct http_call call = {.method = "GET", .url = *url, .timeout_ms = 1000};
        run(&call, &got);
        assert_int_equal(got.error, ERR_INVALID);
        assert_null(strstr(got.answer.error, "u:p"));
    }
    char url[256];
    struct http_call call = get(url, "/conn");
    static const char *const forged[] = {"X: a\r\nY: b", NULL};
    struct outcome got = {0};
    call.headers = forged;
    run(&call, &got);
    assert_int_equal(got.error, ERR_INVALID);
    got = (struct outcome){0};
    call.headers = NULL;
    call.method = "GET /x HTTP/1.1\r\n";
    run(&call, &got);
    assert_int_equal(got.error, ERR_INVALID);
}

static void check_on_data(void **state)
{
    (void)state;
    char url[256];
    struct outcome got = {0};
    struct http_call call = get(url, "/conn");
    call.on_data = on_data;
    call.arg = &got;
    run(&call, &got);
    assert_int_equal(got.error, ERR_OK);
    assert_true(atoi(got.data) > 0);
    assert_int_equal(got.answer.len, 0);

    got = (struct outcome){0};
    call = get(url, "/error");
    call.on_data = on_data;
    call.arg = &got;
    run(&call, &got);
    assert_string_equal(got.data, "");
    assert_string_equal(got.body, "broken");

    got = (struct outcome){.abort = true};
    call = get(url, "/stream");
    call.on_data = on_data;
    call.arg = &got;
    run(&call, &got);
    assert_int_equal(got.error, ERR_CANCELLED);
    assert_string_equal(got.data, "first");
}

static void run_head(const char *path, enum http_body want, struct outcome *got)
{
    char url[256];
    *got = (struct outcome){.want = want};
    struct http_call call = get(url, path);
    call.on_head = on_head;
    call.on_data = on_data;
    call.arg = got;
    run(&call, got);
    assert_int_equal(got->heads, 1);
}

static void check_on_head(void **state)
{
    (void)state;
    struct outcome got;
    run_head("/error", HTTP_BODY_STREAM, &got);
    assert_int_equal(got.head_status, 500);
    assert_string_equal(got.data, "broken");
    assert_string_equal(got.body, "");
    run_head("/conn", HTTP_BODY_GATHER, &got);
    assert_string_equal(got.data, "");
    assert_true(atoi(got.body) > 0);

    /* Of a stream that never says anything, the head is there all the same. */
    run_head("/head", HTTP_BODY_REFUSE, &got);
    assert_int_equal(got.error, ERR_CANCELLED);
    assert_int_equal(got.head_status, 200);
    assert_string_equal(got.head, "text/event-stream|s2|Basic, Bearer");
}

/* Asks twice in a row with `method`; the connection that is kept in between ends in the middle of
 * the second. */
static void ask_dropper(const char *method, bool repeatable, struct outcome *got)
{
    struct loop *loop = loop_new();
    struct http_client *client = http_client_new(loop, NULL);
    char url[256];
    struct http_call call = get(url, "/drop");
    call.method = method;
    call.repeatable = repeatable;
    drops = 0;
    for (int i = 0; i < 2; i++) {
        *got = (struct outcome){0};
        http_client_send(client, &call, on_done, got);
        assert_true(loop_run_until(loop, is_done, got, 20000));
        assert_int_equal(drops, i);
    }
    http_client_destroy(&client);
    loop_destroy(&loop);
}

static void loop_sends_a_post_once(void **state)
{
    (void)state;
    struct outcome got;
    ask_dropper("GET", false, &got);
    assert_string_equal(got.body, "kept");
    ask_dropper("POST", true, &got);
    assert_string_equal(got.body, "kept");
    ask_dropper("POST", false, &got);
    assert_int_equal(got.error, ERR_PEER_LOST);
    assert_non_null(strstr(got.answer.error, "closed before an answer"));
}

static void check_public_only(void **state)
{
    (void)state;
    char url[256];
    struct http_call call = get(url, "/conn");
    struct outcome got;
    for (int i = 0; i < 2; i++) { /* a fresh connection, then one that is kept */
        call.public_only = true;
        got = (struct outcome){0};
        run(&call, &got);
        assert_int_equal(got.error, ERR_INVALID);
        assert_non_null(strstr(got.answer.error, "not a public one"));
        call.public_only = false;
        got = (struct outcome){0};
        run(&call, &got);
        assert_int_equal(got.error, ERR_OK);
    }
}

static int use_blocking(void **state)
{
    (void)state;
    loops = false;
    return 0;
}

static int use_loop(void **state)
{
    (void)state;
    loops = true;
    return 0;
}

static void blocking_reuses_connections(void **state)
{
    (void)state;
    struct outcome first, second;
    run_get("/conn", &first);
    run_get("/conn", &second);
    assert_string_equal(first.body, second.body);
}

static void loop_reuses_connections(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct http_client *client = http_client_new(loop, NULL);
    char url[256];
    struct http_call call = get(url, "/conn");
    struct outcome got[2] = {0};
    for (int i = 0; i < 2; i++) {
        http_client_send(client, &call, on_done, &got[i]);
        assert_true(loop_run_until(loop, is_done, &got[i], 20000));
    }
    assert_string_equal(got[0].body, got[1].body);
    http_client_destroy(&client);
    loop_destroy(&loop);
}

static void loop_copies_the_call(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct http_client *client = http_client_new(loop, NULL);
    char url[256], body[16] = "payload", header[32] = "X-One: two";
    const char *headers[] = {header, NULL};
    struct http_call call = get(url, "/echo");
    struct outcome got = {0};
    call.method = "POST";
    call.headers = headers;
    call.body = body;
    call.body_len = 7;
    http_client_send(client, &call, on_done, &got);
    memset(url, 'z', sizeof url - 1);
    memset(body, 'z', sizeof body);
    memset(header, 'z', sizeof header - 1);
    assert_true(loop_run_until(loop, is_done, &got, 20000));
    assert_non_null(strstr(got.body, "X-One: two\r\n"));
    assert_non_null(strstr(got.body, "payload"));
    http_client_destroy(&client);
    loop_destroy(&loop);
}

static void loop_cancel(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct http_client *client = http_client_new(loop, NULL);
    char url[256];
    struct http_call call = get(url, "/hang");
    struct outcome hang = {0}, other = {0}, self = {0}, got = {0};
    uint64_t id = http_client_send(client, &call, on_done, &hang);
    call = get(url, "/conn");
    http_client_send(client, &call, on_done, &got);
    assert_true(loop_run_until(loop, is_done, &got, 20000));
    http_client_cancel(client, id);
    http_client_cancel(client, id);

    /* From within curl's callback: itself and another. */
    call = get(url, "/hang");
    self.other_id = http_client_send(client, &call, on_done, &other);
    call = get(url, "/stream");
    call.on_data = on_data;
    call.arg = &self;
    self.client = client;
    self.cancel_id = http_client_send(client, &call, on_done, &self);
    assert_false(loop_run_until(loop, is_done, &self, 300));
    assert_string_equal(self.data, "first");
    assert_false(hang.done || other.done);
    http_client_destroy(&client);
    assert_false(hang.done || other.done || self.done);
    loop_destroy(&loop);
}

static void loop_is_not_held_by_a_name_server(void **state)
{
    (void)state;
    struct outcome got = {0};
    struct http_call call = {.method = "GET", .url = "http://slow.test/", .timeout_ms = 50};
    time_t began = time(NULL);
    loops = true;
    run(&call, &got);
    assert_int_equal(got.error, ERR_TIMEOUT);
    assert_true(time(NULL) - began < SLOW_S - 2);
}

static void loop_destroy_ends_calls(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct http_client *client = http_client_new(loop, NULL);
    char url[256];
    struct http_call call = get(url, "/hang");
    struct outcome got = {0};
    http_client_send(client, &call, on_done, &got);
    loop_run_until(loop, is_done, &got, 50);
    http_client_destroy(&client);
    assert_true(got.done);
    assert_int_equal(got.error, ERR_CANCELLED);
    loop_destroy(&loop);
}

static void loop_waits_for_a_connection(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct http_client *client =
        http_client_new(loop, &(struct http_client_options){.connections_max = 1});
    char url[256];
    struct http_call call = get(url, "/hang");
    struct outcome hang = {0}, waits = {0};
    http_client_send(client, &call, on_done, &hang);
    call.timeout_ms = 200;
    http_client_send(client, &call, on_done, &waits);
    assert_true(loop_run_until(loop, is_done, &waits, 3000));
    assert_int_equal(waits.error, ERR_TIMEOUT);
    http_client_destroy(&client);
    loop_destroy(&loop);
}

static void loop_many_calls(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    struct loop *loop = loop_new();
    struct http_client *client =
        http_client_new(loop, &(struct http_client_options){.connections_max = 8});
    struct outcome *got = mem_alloc(COUNT * sizeof *got);
    char url[256];
    struct http_call call = get(url, "/conn");
    int before = connections;
    for (int i = 0; i < COUNT; i++)
        http_client_send(client, &call, on_done, &got[i]);
    for (int i = 0; i < COUNT; i++) {
        assert_true(loop_run_until(loop, is_done, &got[i], 20000));
        assert_int_equal(got[i].answer.status, 200);
    }
    assert_true(connections - before <= 8);
    free(got);
    http_client_destroy(&client);
    loop_destroy(&loop);
}

static void proxies(void **state)
{
    (void)state;
    static const char *const good[] = {"proxy", "proxy:3128", "http://proxy:3128",
                                       "https://u:p@proxy.example:443/", "socks5h://[::1]:1080"};
    static const char *const bad[] = {"",
                                      "nonsense:::",
                                      "http://",
                                      "http://proxy:99999",
                                      "ftp://proxy",
                                      "http://pro xy:3128",
                                      "http://proxy\r\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(http_proxy_is_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(http_proxy_is_valid(bad[i]));
}

static void encoding(void **state)
{
    (void)state;
    AUTOFREE char *text = http_url_encode("a b/ü~&=.");
    assert_string_equal(text, "a%20b%2F%C3%BC~%26%3D.");
    static const char *const pairs[] = {"a", "1&2", "b c", "", NULL};
    AUTOFREE char *form = http_form_encode(pairs);
    assert_string_equal(form, "a=1%262&b%20c=");
    static const char *const none[] = {NULL};
    AUTOFREE char *empty = http_form_encode(none);
    assert_string_equal(empty, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(check_answers, use_blocking),
        cmocka_unit_test_setup(check_post, use_blocking),
        cmocka_unit_test_setup(check_failures, use_blocking),
        cmocka_unit_test_setup(check_refused, use_blocking),
        cmocka_unit_test_setup(check_on_data, use_blocking),
        cmocka_unit_test_setup(check_on_head, use_blocking),
        cmocka_unit_test_setup(check_public_only, use_blocking),
        cmocka_unit_test_setup(blocking_reuses_connections, use_blocking),
        cmocka_unit_test_setup(check_answers, use_loop),
        cmocka_unit_test_setup(check_post, use_loop),
        cmocka_unit_test_setup(check_failures, use_loop),
        cmocka_unit_test_setup(check_refused, use_loop),
        cmocka_unit_test_setup(check_on_data, use_loop),
        cmocka_unit_test_setup(check_on_head, use_loop),
        cmocka_unit_test_setup(check_public_only, use_loop),
        cmocka_unit_test(loop_reuses_connections),
        cmocka_unit_test(loop_copies_the_call),
        cmocka_unit_test(loop_sends_a_post_once),
        cmocka_unit_test(loop_cancel),
        cmocka_unit_test(loop_destroy_ends_calls),
        cmocka_unit_test(loop_is_not_held_by_a_name_server),
        cmocka_unit_test(loop_waits_for_a_connection),
        cmocka_unit_test(loop_many_calls),
        cmocka_unit_test(proxies),
        cmocka_unit_test(encoding),
    };
    return cmocka_run_group_tests(tests, start_server, NULL);
}
