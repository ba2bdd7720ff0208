#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/http_server.h"
#include "libcommon/mem.h"

enum { BODY_MAX = 64 * 1024, WAIT_MS = 20000, CROWD = 400 };

struct fixture {
    struct loop *loop;
    struct http_server *server;
    struct loop_timer *timer;
    uint64_t late[CROWD];
    size_t late_count;
    uint64_t stream;
    int gone, freed, handled;
};

static void free_data(void *data)
{
    ((struct fixture *)data)->freed++;
}

static void on_gone(void *arg, uint64_t id)
{
    struct fixture *f = arg;
    assert_true(!f->stream || id == f->stream);
    f->gone++;
}

static void reply_text(struct http_request *request, int status, const char *text)
{
    http_respond(request, status, "text/plain", text, strlen(text), NULL);
}

static void answer_late(void *arg)
{
    struct fixture *f = arg;
    for (size_t i = 0; i < f->late_count; i++) {
        struct http_request *request = http_request_find(f->server, f->late[i]);
        if (request)
            reply_text(request, 200, "late");
    }
    f->late_count = 0;
}

static void on_request(void *arg, struct http_request *request)
{
    struct fixture *f = arg;
    const char *path = http_request_path(request);
    size_t len;
    const char *body = http_request_body(request, &len);
    f->handled++;
    http_request_set_data(request, f, free_data);
    if (strcmp(path, "/late") == 0) {
        f->late[f->late_count++] = http_request_id(request);
        loop_timer_start(f->timer, 30);
    } else if (strcmp(path, "/never") == 0) {
        f->late[f->late_count++] = http_request_id(request);
    } else if (strcmp(path, "/events") == 0 || strcmp(path, "/stream") == 0) {
        f->stream = http_request_id(request);
        if (http_respond_stream(request, 200, "text/event-stream", NULL, on_gone, f))
            assert_int_equal(http_stream_write(f->server, f->stream, "first\n", 6), ERR_OK);
    } else {
        const char *query = http_request_query(request, "q");
        AUTOFREE char *text = mem_printf("<%s %s %s %.*s>", http_request_method(request), path,
                                         query ? query : "-", (int)len, body);
        reply_text(request, 200, text);
    }
}

static bool on_headers(void *arg, struct http_request *request)
{
    (void)arg;
    if (strcmp(http_request_path(request), "/denied") != 0)
        return true;
    reply_text(request, 401, "no");
    return false;
}

static void decorate(void *arg, const struct http_request *request, int status,
                     struct http_response *response)
{
    (void)arg, (void)request, (void)status;
    http_response_header(response, "X-Decorated", "yes");
}

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    f->loop = loop_new();
    f->timer = loop_timer_new(f->loop, answer_late, f);
    struct http_server_options options = {.address = "127.0.0.1",
                                          .body_max = BODY_MAX,
                                          .connections_max = CROWD + 4,
                                          .streams_max = 2,
                                          .receive_timeout_ms = 600,
                                          .answer_timeout_ms = 3000,
                                          .on_headers = on_headers,
                                          .on_request = on_request,
                                          .decorate = decorate,
                                          .arg = f,
                                          .reuse_port = true,
                                          .stream_suffix = "/events"};
    assert_int_equal(http_server_new(f->loop, &options, &f->server), ERR_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    http_server_destroy(&f->server);
    loop_timer_destroy(&f->timer);
    loop_destroy(&f->loop);
    free(f);
    return 0;
}

struct client {
    struct fixture *f;
    int fd;
    struct buf in;
    bool closed;
    const char *want;
    int times;
};

static struct client client_open(struct fixture *f)
{
    struct client c = {.f = f};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_server_port(f->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(c.fd, (struct sockaddr *)&to, sizeof(to)), 0);
    fcntl(c.fd, F_SETFL, O_NONBLOCK);
    buf_init(&c.in, 8 << 20);
    return c;
}

static void client_close(struct client *c)
{
    close(c->fd);
    buf_fini(&c->in);
}

static void client_send_bytes(struct client *c, const char *text, size_t len)
{
    assert_int_equal(send(c->fd, text, len, MSG_NOSIGNAL), len);
}

static void client_send(struct client *c, const char *text)
{
    client_send_bytes(c, text, strlen(text));
}

static void client_read(struct client *c)
{
    char text[65536];
    ssize_t len;
    while ((len = recv(c->fd, text, sizeof(text), 0)) > 0)
        buf_add(&c->in, text, (size_t)len);
    if (len == 0 || (errno != EAGAIN && errno != EINTR))
        c->closed = true;
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (; (text = strstr(text, word)); text += strlen(word))
        n++;
    return n;
}

static bool arrived(void *arg)
{
    struct client *c = arg;
    client_read(c);
    return c->want ? count(buf_text(&c->in), c->want) >= c->times : c->closed;
}

static void expect_times(struct client *c, const char *want, int times)
{
    c->want = want;
    c->times = times;
    if (!loop_run_until(c->f->loop, arrived, c, WAIT_MS))
        fail_msg("%s missing in: %s", want ? want : "the close", buf_text(&c->in));
}

static void expect(struct client *c, const char *want)
{
    expect_times(c, want, 1);
}

static void expect_closed(struct client *c)
{
    expect_times(c, NULL, 0);
}

static void test_keep_alive_and_pipeline(void **state)
{
    struct client c = client_open(*state);
    client_send(&c, "GET /a?q=x%20y+z HTTP/1.1\r\nHost: h\r\nX-Request-Id: my.id\r\n\r\n");
    expect(&c, "<GET /a x y z >");
    assert_non_null(strstr(buf_text(&c.in), "X-Request-Id: my.id\r\n"));
    assert_non_null(strstr(buf_text(&c.in), "X-Decorated: yes\r\n"));
    client_send(&c, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
                    "GET /late HTTP/1.1\r\nHost: h\r\n\r\n"
                    "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                    "DELETE /d%2Fe HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&c, "<DELETE /d/e - >");
    const char *all = buf_text(&c.in);
    char *post = strstr(all, "<POST /b - hello>"), *late = strstr(all, "\r\n\r\nlate");
    char *chunked = strstr(all, "<POST /c - abcde>");
    assert_true(post && late && chunked && post < late && late < chunked);
    assert_int_equal(count(all, "X-Request-Id: "), 5);
    client_close(&c);
}

static void test_head(void **state)
{
    struct client c = client_open(*state);
    client_send(&c, "HEAD /h HTTP/1.1\r\nHost: h\r\n\r\nHEAD /events HTTP/1.1\r\nHost: h\r\n\r\n"
                    "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&c, "<GET /next - >");
    assert_null(strstr(buf_text(&c.in), "<GET /h"));
    assert_non_null(strstr(buf_text(&c.in), "Content-Length: 11\r\n"));
    client_close(&c);
}

static void refused(struct fixture *f, const char *text, size_t len)
{
    int handled = f->handled;
    struct client c = client_open(f);
    client_send_bytes(&c, text, len);
    expect_closed(&c);
    if (!strstr(buf_text(&c.in), "HTTP/1.1 400"))
        fail_msg("not refused: %s -> %s", text, buf_text(&c.in));
    assert_int_equal(f->handled, handled);
    if (count(buf_text(&c.in), "HTTP/1.1 ") != 1 || !strstr(buf_text(&c.in), "{\"detail\":"))
        fail_msg("more than one answer to: %s -> %s", text, buf_text(&c.in));
    client_close(&c);
}

static void test_smuggling(void **state)
{
#define SMUGGLED "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    static const char *const forms[] = {
        "Host: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" SMUGGLED,
        "Host: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" SMUGGLED,
        "Host: h\r\nTransfer-Encoding : chunked\r\n\r\n" SMUGGLED,
        "Host: h\r\nTransfer-Encoding\t: chunked\r\nContent-Length: 5\r\n\r\n" SMUGGLED,
        "Host: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n" SMUGGLED,
        "Host: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n" SMUGGLED,
        "Host: h\r\nContent-Length: 5, 5\r\n\r\n" SMUGGLED,
        "Host: h\r\nContent-Length: +5\r\n\r\n" SMUGGLED,
        "Host: h\r\nContent-Length: 0x5\r\n\r\n" SMUGGLED,
        "Host: h\r\nContent-Length: -5\r\n\r\n" SMUGGLED,
        "Host: h\r\nContent-Length: 99999999999999999999\r\n\r\n" SMUGGLED,
        "Host: h\r\nContent-Length:\r\n\r\n" SMUGGLED,
        "Host: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" SMUGGLED,
        "Host: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n" SMUGGLED,
        "Host: h\r\nTransfer-Encoding: identity\r\n\r\n" SMUGGLED,
        "Host: h\r\nTransfer-Encoding: xchunked\r\n\r\n" SMUGGLED,
        "Host: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" SMUGGLED,
        "Host: h\r\nHost: i\r\n\r\n",
        "Host: h\r\nX-A: b\rTransfer-Encoding: chunked\r\n\r\n" SMUGGLED,
        "Host: h\r\nX-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length : 4\r\n\r\n" SMUGGLED,
        "Host: h\r\nBad Name: 1\r\n\r\n",
        "X: no host\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        AUTOFREE char *text = mem_printf("POST /x HTTP/1.1\r\n%s", forms[i]);
        refused(*state, text, strlen(text));
    }
    static const char *const targets[] = {"/%00", "/%zz", "/%4",     "/a?b=%",
                                          "/%ff", "nope", "/a?x=%00"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
        AUTOFREE char *text = mem_printf("GET %s HTTP/1.1\r\nHost: h\r\n\r\n", targets[i]);
        refused(*state, text, strlen(text));
    }
    static const char nul[] = "GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n";
    refused(*state, nul, sizeof(nul) - 1);
}

/* Header blocks whose lines two readers could count differently. */
#define FORM(text)                                                           \
    {                                                                        \
        "POST /x HTTP/1.1\r\n" text, sizeof("POST /x HTTP/1.1\r\n" text) - 1 \
    }
static const struct form {
    const char *text;
    size_t len;
} forms_of_lines[] = {
    /* libmicrohttpd leaves no trace of the first: it is seen on a new connection alone. */
    FORM("Host: h\r\nX: a\0\nTransfer-Encoding: chunked\r\n\r\n" SMUGGLED),
    FORM("Host: h\r\nX: a\0\0Transfer-Encoding: chunked\r\n\r\n" SMUGGLED),
    FORM("Host: h\r\nX: a\0b\r\n\r\n"),
    FORM("Host: h\r\nX\0Y: a\r\n\r\n"),
    FORM("Host: h\r\nContent-Length:\r\n 43\r\n\r\n" SMUGGLED),
    FORM("Host: h\r\nContent-Length: 4\r\n 3\r\n\r\n" SMUGGLED),
    FORM("Host: h\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n" SMUGGLED),
    FORM("Host: h\r\nX: a\r\n b\r\n\r\n"),
    FORM("Host: h\r\nX: a\nContent-Length: 43\r\n\r\n" SMUGGLED),
    FORM("Host: h\r\nX: a\n\r\n" SMUGGLED),
    FORM("Host: h\nX: a\n\n" SMUGGLED),
    FORM("Host: h\r\n\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"),
    FORM("Host: h\r\n: nameless\r\n\r\n"),
};

/* Behind another request libmicrohttpd alone reads them. */
static void refused_later(struct fixture *f, const struct form *form)
{
    struct client c = client_open(f);
    client_send(&c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&c, "<GET / ");
    int handled = f->handled;
    client_send_bytes(&c, form->text, form->len);
    expect_closed(&c);
    if (f->handled != handled || !strstr(buf_text(&c.in), "HTTP/1.1 400 "))
        fail_msg("not refused: %s -> %s", form->text, buf_text(&c.in));
    client_close(&c);
}

static void test_line_ends(void **state)
{
    for (size_t i = 0; i < sizeof(forms_of_lines) / sizeof(*forms_of_lines); i++) {
        refused(*state, forms_of_lines[i].text, forms_of_lines[i].len);
        if (i > 0)
            refused_later(*state, &forms_of_lines[i]);
    }
}

static void test_control_characters(void **state)
{
    static const char controls[] = {0x01, 0x0b, 0x1f, 0x7f};
    char text[128];
    for (size_t i = 0; i < sizeof(controls); i++) {
        for (size_t at = 0; at < 20; at++) {
            char value[] = "a\tb\x80\xff~ cdefghijklmno";
            value[at] = controls[i];
            int len =
                snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nX: %s\r\n\r\n", value);
            refused(*state, text, (size_t)len);
        }
    }
    struct client c = client_open(*state);
    client_send(&c, "GET / HTTP/1.1\r\nHost: h\r\nX: a\tb\x80\xff~ cdefgh!\xa0 \x9f}\r\n\r\n");
    expect(&c, "<GET / ");
    client_close(&c);
}

static void test_own_answers(void **state)
{
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / http/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "\x16\x03\x01\x02",
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        " GET / HTTP/1.1\r\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        refused(*state, texts[i], strlen(texts[i]));
    struct client c = client_open(*state);
    client_send(&c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    expect_closed(&c);
    assert_non_null(strstr(buf_text(&c.in), "HTTP/1.1 505 "));
    assert_non_null(strstr(buf_text(&c.in), "X-Request-Id: "));
    client_close(&c);
    c = client_open(*state);
    client_send(&c, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 200; i++)
        client_send(&c, "X: y\r\n");
    expect_closed(&c);
    assert_non_null(strstr(buf_text(&c.in), "HTTP/1.1 431 "));
    client_close(&c);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

/* Whatever its form and however it comes in pieces, a good header block is good. */
static void test_pieces(void **state)
{
    struct fixture *f = *state;
    AUTOFREE char *big = mem_alloc(12001);
    memset(big, 'b', 12000);
    AUTOFREE char *text = mem_printf("\r\nGET /p HTTP/1.1\r\nHost: h\r\nEmpty:\r\nBlanks: \t \r\n"
                                     "Behind: a \t\r\nCookie: a=b; c=\"d\"\r\nBig:%s\r\n\r\n",
                                     big);
    struct client c = client_open(f);
    for (int round = 1; round <= 3; round++) {
        size_t len = strlen(text), step = round == 2 ? 7 : 701;
        for (size_t at = 0; at < len; at += step) {
            client_send_bytes(&c, text + at, len - at < step ? len - at : step);
            if (at / step % 16 == 0)
                loop_run_until(f->loop, never, NULL, 1);
        }
        expect_times(&c, "<GET /p ", round);
    }
    client_close(&c);
}

static void test_headers_too_large(void **state)
{
    AUTOFREE char *header = mem_alloc(60001);
    memset(header, 'x', 60000);
    AUTOFREE char *text = mem_printf("GET / HTTP/1.1\r\nHost: h\r\nX: %s\r\n\r\n", header);
    struct client c = client_open(*state);
    client_send(&c, text);
    expect_closed(&c);
    assert_non_null(strstr(buf_text(&c.in), "HTTP/1.1 431 "));
    assert_non_null(strstr(buf_text(&c.in), "{\"detail\":"));
    assert_non_null(strstr(buf_text(&c.in), "X-Request-Id: "));
    client_close(&c);
}

static void test_too_large(void **state)
{
    struct fixture *f = *state;
    size_t size = 3 * BODY_MAX;
    AUTOFREE char *body = mem_alloc(size + 1);
    memset(body, 'x', size);
    AUTOFREE char *head =
        mem_printf("POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", size);
    struct client c = client_open(f);
    client_send(&c, head);
    client_send_bytes(&c, body, size);
    client_send(&c, "GET /after HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&c, "<GET /after - >");
    assert_non_null(strstr(buf_text(&c.in), "HTTP/1.1 413 "));
    assert_int_equal(f->handled, 1);
    AUTOFREE char *chunk = mem_printf("POST /big HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked"
                                      "\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
                                      size, body);
    client_send(&c, chunk);
    expect_times(&c, "HTTP/1.1 413 ", 2);
    assert_int_equal(f->handled, 1);
    client_close(&c);
    c = client_open(f);
    client_send(&c, "POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999\r\n\r\n");
    expect_closed(&c);
    assert_non_null(strstr(buf_text(&c.in), "HTTP/1.1 413 "));
    client_close(&c);
    c = client_open(f);
    client_send(&c, "POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 99999\r\n"
                    "Expect: 100-continue\r\n\r\n");
    expect_closed(&c);
    assert_non_null(strstr(buf_text(&c.in), "HTTP/1.1 413 "));
    assert_null(strstr(buf_text(&c.in), "100 Continue"));
    client_close(&c);
}

static void test_refused_by_headers(void **state)
{
    struct fixture *f = *state;
    struct client c = client_open(f);
    client_send(&c, "POST /denied HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
                    "GET /after HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&c, "<GET /after - >");
    assert_non_null(strstr(buf_text(&c.in), "HTTP/1.1 401 "));
    assert_int_equal(f->handled, 1);
    client_close(&c);
}

static void test_slow_sender(void **state)
{
    struct client c = client_open(*state);
    client_send(&c, "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
    expect_closed(&c);
    assert_non_null(strstr(buf_text(&c.in), "HTTP/1.1 408 "));
    client_close(&c);
    c = client_open(*state);
    client_send(&c, "GET /slow HTTP/1.1\r\nHo");
    expect_closed(&c);
    client_close(&c);
    c = client_open(*state);
    client_send(&c, "GE");
    expect_closed(&c);
    client_close(&c);
    c = client_open(*state); /* says nothing at all */
    expect_closed(&c);
    client_close(&c);
    assert_int_equal(http_server_active(((struct fixture *)*state)->server), 0);
}

/* The request and the end of its sender come at once. */
static void test_half_closed(void **state)
{
    static const char *const requests[] = {"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
                                           "GET /late HTTP/1.1\r\nHost: h\r\n\r\n"};
    for (int i = 0; i < 2; i++) {
        struct client c = client_open(*state);
        client_send(&c, requests[i]);
        shutdown(c.fd, SHUT_WR);
        expect_closed(&c);
        assert_non_null(strstr(buf_text(&c.in), "HTTP/1.1 200 "));
        client_close(&c);
    }
}

static bool is_idle(void *arg)
{
    return http_server_active(((struct fixture *)arg)->server) == 0;
}

static bool has_late(void *arg)
{
    return ((struct fixture *)arg)->late_count > 0;
}

static void test_late_answer_to_gone_request(void **state)
{
    struct fixture *f = *state;
    struct client c = client_open(f);
    client_send(&c, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(loop_run_until(f->loop, has_late, f, WAIT_MS));
    uint64_t id = f->late[0];
    assert_non_null(http_request_find(f->server, id));
    client_close(&c);
    assert_true(loop_run_until(f->loop, is_idle, f, 2500));
    assert_int_equal(f->freed, 1);
    assert_null(http_request_find(f->server, id));
    f->late_count = 0;
    c = client_open(f); /* takes the same slot */
    client_send(&c, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(loop_run_until(f->loop, has_late, f, WAIT_MS));
    assert_null(http_request_find(f->server, id));
    expect(&c, "HTTP/1.1 503 "); /* answer_timeout_ms */
    client_close(&c);
}

static bool stream_is_gone(void *arg)
{
    return ((struct fixture *)arg)->gone > 0;
}

static void stream(struct fixture *f, const char *path)
{
    AUTOFREE char *text = mem_printf("GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);
    f->gone = 0;
    struct client c = client_open(f);
    client_send(&c, text);
    expect(&c, "first\n");
    assert_int_equal(http_stream_write(f->server, f->stream, "second\n", 7), ERR_OK);
    expect(&c, "second\n");
    http_stream_end(f->server, f->stream);
    expect(&c, "0\r\n\r\n");
    assert_true(loop_run_until(f->loop, stream_is_gone, f, WAIT_MS));
    assert_int_equal(http_stream_write(f->server, f->stream, "x", 1), ERR_NOT_FOUND);
    client_send(&c, "GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&c, "<GET /again - >");

    f->gone = 0;
    client_send(&c, text);
    expect_times(&c, "first\n", 2);
    client_close(&c);
    assert_true(loop_run_until(f->loop, stream_is_gone, f, WAIT_MS));
    assert_true(loop_run_until(f->loop, is_idle, f, WAIT_MS));
}

static void test_stream(void **state)
{
    stream(*state, "/events"); /* in the streams' daemon */
    stream(*state, "/stream"); /* in the calls' daemon */
}

static void test_stream_limits(void **state)
{
    struct fixture *f = *state;
    struct client c[3];
    for (int i = 0; i < 3; i++) {
        c[i] = client_open(f);
        client_send(&c[i], "GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
        expect(&c[i], i < 2 ? "first\n" : "HTTP/1.1 503 ");
        if (i == 0)
            f->late[0] = f->stream;
    }
    static char block[65536];
    enum err err = ERR_OK;
    for (int i = 0; i < 17 && !err; i++) /* the loop doesn't run: nothing leaves */
        err = http_stream_write(f->server, f->late[0], block, sizeof(block));
    assert_int_equal(err, ERR_TOO_LARGE);
    f->stream = 0; /* both go */
    for (int i = 0; i < 3; i++)
        client_close(&c[i]);
    assert_true(loop_run_until(f->loop, is_idle, f, WAIT_MS));
}

static void test_crowd(void **state)
{
    struct fixture *f = *state;
    static struct client c[CROWD];
    for (int i = 0; i < CROWD; i++)
        c[i] = client_open(f);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CROWD; i++)
            client_send(&c[i], i % 2 ? "GET /late HTTP/1.1\r\nHost: h\r\n\r\n"
                                     : "GET /now HTTP/1.1\r\nHost: h\r\n\r\n");
        for (int i = 0; i < CROWD; i++)
            expect_times(&c[i], "HTTP/1.1 200 ", round + 1);
    }
    struct client extra[8];
    int refusals = 0;
    for (int i = 0; i < 8; i++) {
        extra[i] = client_open(f);
        client_send(&extra[i], "GET /now HTTP/1.1\r\nHost: h\r\n\r\n");
        expect(&extra[i], "HTTP/1.1 ");
        refusals += strstr(buf_text(&extra[i].in), "HTTP/1.1 503 ") != NULL;
    }
    assert_int_equal(refusals, 4);
    for (int i = 0; i < 8; i++)
        client_close(&extra[i]);
    for (int i = 0; i < CROWD; i++)
        client_close(&c[i]);
}

static void test_stop_with_waiting(void **state)
{
    struct fixture *f = *state;
    struct client c = client_open(f), s = client_open(f), idle = client_open(f);
    client_send(&s, "GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&s, "first\n");
    client_send(&c, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(loop_run_until(f->loop, has_late, f, WAIT_MS));
    http_server_destroy(&f->server);
    expect_closed(&c);
    assert_non_null(strstr(buf_text(&c.in), "HTTP/1.1 503 "));
    expect_closed(&s);
    assert_int_equal(f->gone, 1);
    client_close(&c);
    client_close(&s);
    client_close(&idle);
}

static bool is_quiet(void *arg)
{
    return http_server_is_quiet(((struct fixture *)arg)->server);
}

/* A server that stops answers on the connections that there are, and says that it closes them: a
 * kept one, one that still waits to be accepted, one that has said nothing yet. */
static void test_quiesce(void **state)
{
    struct fixture *f = *state;
    struct client kept = client_open(f), idle = client_open(f);
    client_send(&kept, "GET /now HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&kept, "HTTP/1.1 200 ");
    assert_null(strstr(buf_text(&kept.in), "Connection: close"));
    struct client waiting = client_open(f);
    http_server_quiesce(f->server);
    client_send(&kept, "GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
    client_send(&waiting, "GET /now HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_closed(&kept);
    expect_closed(&waiting);
    assert_non_null(strstr(buf_text(&kept.in), "Connection: close"));
    assert_non_null(strstr(buf_text(&kept.in), "late"));
    assert_non_null(strstr(buf_text(&waiting.in), "HTTP/1.1 200 "));
    assert_true(loop_run_until(f->loop, is_quiet, f, WAIT_MS));
    expect_closed(&idle);
    client_close(&kept);
    client_close(&idle);
    client_close(&waiting);
}

static void test_port_taken(void **state)
{
    struct fixture *f = *state;
    struct http_server *other = NULL;
    struct http_server_options options = {.address = "127.0.0.1",
                                          .port = http_server_port(f->server),
                                          .connections_max = 4,
                                          .on_request = on_request,
                                          .arg = f};
    assert_int_equal(http_server_new(f->loop, &options, &other), ERR_CONFLICT);
    options.reuse_port = true;
    assert_int_equal(http_server_new(f->loop, &options, &other), ERR_OK);
    http_server_destroy(&other);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_keep_alive_and_pipeline),
        TEST(test_head),
        TEST(test_smuggling),
        TEST(test_line_ends),
        TEST(test_control_characters),
        TEST(test_own_answers),
        TEST(test_pieces),
        TEST(test_headers_too_large),
        TEST(test_too_large),
        TEST(test_refused_by_headers),
        TEST(test_slow_sender),
        TEST(test_half_closed),
        TEST(test_late_answer_to_gone_request),
        TEST(test_stream),
        TEST(test_stream_limits),
        TEST(test_crowd),
        TEST(test_stop_with_waiting),
        TEST(test_quiesce),
        TEST(test_port_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
