/* Streamable HTTP against a small server of its own that does what its path says and keeps every
 * request. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_http.h"
#include "tests/unit/listener.h"

enum { REQUESTS_MAX = 64, REQUEST_SIZE = 16384, WAIT_MS = 30000 };

/* The server */

static struct listener listener;
static int port;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *requests[REQUESTS_MAX];
static size_t request_count;
static atomic_bool keep_requests = true;
static atomic_size_t flooded; /* bytes */
static atomic_int held;       /* clients that wait for /held's 202 */

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

static void say_json(int fd, const char *body)
{
    say_body(fd, "200 OK\r\nContent-Type: application/json", body);
}

static const char result[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}";
static const char other_result[] = "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}";
static const char stream_head[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    "Connection: close\r\n\r\n";

static bool read_request(int fd, char *request)
{
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(fd, request + len, REQUEST_SIZE - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        request[len] = '\0';
        const char *end = strstr(request, "\r\n\r\n");
        const char *length = strcasestr(request, "Content-Length: ");
        if (end &&
            len >= (size_t)(end + 4 - request) + (length ? strtoul(length + 16, NULL, 10) : 0))
            return true;
    }
}

static void keep_request(const char *request)
{
    if (!keep_requests)
        return;
    pthread_mutex_lock(&lock);
    assert_true(request_count < REQUESTS_MAX);
    requests[request_count++] = mem_strdup(request);
    pthread_mutex_unlock(&lock);
}

static void flood(int fd)
{
    char piece[65536];
    memset(piece, 'x', sizeof piece);
    memcpy(piece, "\ndata: {}\n\n:", 12);
    piece[sizeof piece - 1] = '\n';
    say(fd, stream_head);
    for (flooded = 0; send(fd, piece, sizeof piece, MSG_NOSIGNAL) > 0; flooded += sizeof piece)
        ;
}

static void answer_resume(int fd, const char *request, bool get)
{
    say(fd, stream_head);
    if (!get)
        say(fd, "id: 5\nretry: 20\ndata: \n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n\n");
    else if (strcasestr(request, "Last-Event-ID: 5\r\n"))
        say(fd, "id: 6\ndata: \n\n"); /* polling goes on */
    else if (strcasestr(request, "Last-Event-ID: 6\r\n"))
        say(fd, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\ndata: \"result\":{}}\n\n");
}

static void answer_session(int fd, const char *request, bool get)
{
    if (get) {
        usleep(50 * 1000);
        keep_request("listening");
        say(fd, stream_head);
        say(fd, "data: {\"jsonrpc\":\"2.0\",\"method\":\"heard\"}\n\n");
        (void)!recv(fd, (char[1]){0}, 1, 0); /* until the client goes */
    } else if (strstr(request, "\"initialize\"")) {
        say_body(fd, "200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: s-1", result);
    } else if (strstr(request, "notifications/initialized")) {
        usleep(100 * 1000);
        keep_request("accepted: initialized");
        say(fd, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    } else if (!strncmp(request, "DELETE", 6)) {
        say_body(fd, "200 OK", "");
    } else if (strstr(request, "\"lost\"")) {
        say_body(fd, "404 Not Found", "no such session");
    } else if (strstr(request, "\"lost400\"")) {
        say_body(fd, "400 Bad\r\nContent-Type: application/json",
                 "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32000,\"message\":"
                 "\"Bad Request: No valid session ID provided\"}}");
    } else {
        say_json(fd, result);
    }
}

static void answer_auth(int fd, const char *request)
{
    if (strstr(request, "\"id\":2}"))
        usleep(100 * 1000);
    if (strcasestr(request, "Authorization: Bearer 2\r\n"))
        say_json(fd, strstr(request, "\"id\":2}") ? other_result : result);
    else
        say_body(fd, "401 No\r\nWWW-Authenticate: Bearer scope=\"x\"", "who are you");
}

/* False: close the connection. */
static bool answer(int fd, const char *request)
{
    bool get = strncmp(request, "GET", 3) == 0;
    const char *path = strchr(request, ' ') + 1;
    if (!strncmp(path, "/json", 5)) {
        say_json(fd, result);
    } else if (!strncmp(path, "/sse", 4)) {
        say(fd, stream_head);
        say(fd, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n\n"
                "event: other\ndata: skipped\n\nretry: 1\n\ndata: ");
        say(fd, result);
        say(fd, "\n\n");
        return false;
    } else if (!strncmp(path, "/resume", 7)) {
        answer_resume(fd, request, get);
        return false;
    } else if (!strncmp(path, "/ends", 5)) {
        say(fd, stream_head);
        say(fd, "data: {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n\n");
        return false;
    } else if (!strncmp(path, "/cut", 4)) {
        return false;
    } else if (!strncmp(path, "/session", 8)) {
        answer_session(fd, request, get);
    } else if (!strncmp(path, "/auth", 5)) {
        answer_auth(fd, request);
    } else if (!strncmp(path, "/near", 5)) {
        say_body(fd, "307 Over there\r\nLocation: /json?x=1", "");
    } else if (!strncmp(path, "/away", 5)) {
        AUTOFREE char *head =
            mem_printf("307 Over there\r\nLocation: http://localhost:%d/json", port);
        say_body(fd, head, "");
    } else if (!strncmp(path, "/nameless", 9)) {
        say_body(fd, "400 Bad\r\nContent-Type: application/json",
                 "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32022,\"message\":\"m\"}}");
    } else if (!strncmp(path, "/mirror", 7)) {
        say_body(fd, "403 No", request);
    } else if (!strncmp(path, "/words", 6)) {
        say_body(fd, "500 Oh", "{\"error\":{\"code\":1,\"message\":\"the \\u001b[31mdisk\"}}");
    } else if (!strncmp(path, "/accepted", 9)) {
        say(fd, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    } else if (!strncmp(path, "/flood", 6)) {
        flood(fd);
        return false;
    } else if (!strncmp(path, "/bigline", 8)) {
        say(fd, stream_head);
        say(fd, "data: ");
        char piece[4096];
        memset(piece, 'x', sizeof piece);
        while (send(fd, piece, sizeof piece, MSG_NOSIGNAL) > 0)
            ;
        return false;
    } else if (!strncmp(path, "/open", 5)) {
        /* An answer on a stream that stays open. */
        const char *id = strstr(request, "\"id\":");
        AUTOFREE char *event = mem_printf(
            "data: {\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{}}\n\n", strtol(id + 5, NULL, 10));
        say(fd, stream_head);
        say(fd, event);
        (void)!recv(fd, (char[1]){0}, 1, 0);
        return false;
    } else if (!strncmp(path, "/other", 6)) {
        say_body(fd, "303 See Other\r\nLocation: /json", "");
    } else if (!strncmp(path, "/hang", 5)) {
        held++;
        (void)!recv(fd, (char[1]){0}, 1, 0);
        held--;
        return false;
    }
    return true;
}

static void *serve_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char *request = mem_alloc(REQUEST_SIZE);
    bool more = true;
    while (more && read_request(fd, request)) {
        keep_request(request);
        more = answer(fd, request);
    }
    close(fd);
    free(request);
    return NULL;
}

static int start_server(void **state)
{
    (void)state;
    int error = listener_start(&listener, serve_connection);
    port = listener.port;
    return error;
}

static size_t count_requests(const char *part)
{
    size_t count = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < request_count; i++)
        count += strcasestr(requests[i], part) != NULL;
    pthread_mutex_unlock(&lock);
    return count;
}

/* The index of the first request with `part`; the count when there is none. */
static size_t place_of(const char *part)
{
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (i < request_count && !strcasestr(requests[i], part))
        i++;
    pthread_mutex_unlock(&lock);
    return i;
}

/* The client's side: all events in one text. */

struct seen {
    struct loop *loop;
    struct http_client *client;
    struct mcp_transport *transport;
    struct buf text;
    const char *until; /* what the text has to hold for a wait's end */
    unsigned asked;    /* for authorization */
    bool refuse;
};

static void on_message(void *arg, const char *text, size_t len, int status)
{
    buf_printf(&((struct seen *)arg)->text, "%d %.*s\n", status, (int)len, text);
}

static void on_no_answer(void *arg, int64_t id, int status, const char *why)
{
    buf_printf(&((struct seen *)arg)->text, "no answer %d: %d, %s\n", (int)id, status, why);
}

static void on_session_lost(void *arg, int64_t id)
{
    buf_printf(&((struct seen *)arg)->text, "session lost %d\n", (int)id);
}

static void on_ended(void *arg, const char *why)
{
    buf_printf(&((struct seen *)arg)->text, "ended: %s\n", why);
}

static const struct mcp_transport_events events = {on_message, on_no_answer, on_session_lost,
                                                   on_ended};

static void open_transport(struct seen *seen, const char *path, const char *headers)
{
    *seen = (struct seen){.loop = loop_new()};
    buf_init(&seen->text, 1 << 20);
    seen->client = http_client_new(seen->loop, NULL);
    AUTOFREE char *url = mem_printf("http://127.0.0.1:%d%s", port, path);
    AUTOJSON json_t *spec = json_pack("{s:s, s:s}", "name", "remote", "url", url);
    if (headers)
        json_object_set_new(spec, "headers", json_loads(headers, 0, NULL));
    struct mcp_transport_options options = {seen->loop, seen->client, spec, &events, seen};
    char why[MCP_WHY_SIZE_MAX];
    assert_int_equal(mcp_http_new(&options, &seen->transport, why), ERR_OK);
    pthread_mutex_lock(&lock);
    while (request_count)
        free(requests[--request_count]);
    pthread_mutex_unlock(&lock);
}

static bool is_there(void *arg)
{
    struct seen *seen = arg;
    return strstr(buf_text(&seen->text), seen->until);
}

static void wait_for(struct seen *seen, const char *part)
{
    seen->until = part;
    if (!loop_run_until(seen->loop, is_there, seen, WAIT_MS))
        fail_msg("waited for \"%s\", came: %s", part, buf_text(&seen->text));
}

static bool is_stopped(void *arg)
{
    struct seen *seen = arg;
    return seen->transport->class->stopped(seen->transport);
}

static void close_transport(struct seen *seen)
{
    seen->transport->class->stop(seen->transport);
    assert_true(loop_run_until(seen->loop, is_stopped, seen, WAIT_MS));
    seen->transport->class->destroy(seen->transport);
    http_client_destroy(&seen->client);
    loop_destroy(&seen->loop);
    buf_fini(&seen->text);
}

static void send_head(struct seen *seen, const char *method, const struct mcp_head *head)
{
    AUTOJSON json_t *message = json_pack("{s:s, s:s}", "jsonrpc", "2.0", "method", method);
    if (head->id)
        json_object_set_new(message, "id", json_integer(head->id));
    assert_int_equal(seen->transport->class->send(seen->transport, message, head), ERR_OK);
}

static void send_plain(struct seen *seen, int64_t id, const char *method)
{
    struct mcp_head head = {
        .id = id, .method = method, .protocol_version = "2025-11-25", .timeout_ms = WAIT_MS};
    send_head(seen, method, &head);
}

static void check(const char *path, const char *wanted)
{
    struct seen seen;
    open_transport(&seen, path, NULL);
    send_plain(&seen, 1, "tools/call");
    wait_for(&seen, wanted);
    assert_int_equal(count_requests("POST "), 1);
    close_transport(&seen);
}

static void answers(void **state)
{
    (void)state;
    check("/json", "200 {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
    check("/sse", "200 {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n"
                  "200 {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
    check("/nameless", "400 {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32022");
    check("/accepted", "no answer 1: 0, it answered HTTP 202, but no answer");
    check("/words", "no answer 1: 500, it answered HTTP 500: the  [31mdisk\n");
    check("/other", "no answer 1: 0, it answered HTTP 303, which redirects");
    check("/away", "no answer 1: 307, it answered HTTP 307, which redirects");
    assert_int_equal(count_requests("POST /json"), 0);
}

static void nothing_is_sent_twice(void **state)
{
    (void)state;
    check("/cut", "no answer 1: 0, ");
    check("/ends", "no answer 1: 0, its event stream ended before the answer\n");
}

static void never_sent(void **state)
{
    (void)state;
    struct seen seen;
    open_transport(&seen, "/json", NULL);
    int real = port;
    close_transport(&seen);
    port = 1;
    open_transport(&seen, "/json", NULL);
    port = real;
    send_plain(&seen, 1, "tools/call");
    wait_for(&seen, "no answer 1: -1, ");
    close_transport(&seen);
}

static void ceilings(void **state)
{
    (void)state;
    check("/flood", "no answer 1: 0, its event stream is too large\n");
    assert_in_range(flooded, 60 << 20, 100 << 20);
    check("/bigline", "no answer 1: 0, its event stream is too large\n");
}

static void streams_are_resumed(void **state)
{
    (void)state;
    check("/resume", "200 {\"jsonrpc\":\"2.0\",\"id\":1,\n\"result\":{}}\n");
    assert_int_equal(count_requests("GET /resume"), 2);
    assert_int_equal(count_requests("GET /resume HTTP/1.1\r\nHost: 127.0.0.1"), 2);
    assert_int_equal(count_requests("Accept: text/event-stream\r\n"), 2);
}

static void redirections_nearby(void **state)
{
    (void)state;
    struct seen seen;
    open_transport(&seen, "/near", NULL);
    send_plain(&seen, 1, "tools/call");
    wait_for(&seen, "\"result\":{}");
    buf_reset(&seen.text);
    send_plain(&seen, 1, "tools/call");
    wait_for(&seen, "\"result\":{}");
    assert_int_equal(count_requests("POST /near"), 1);
    assert_int_equal(count_requests("POST /json?x=1"), 2);
    close_transport(&seen);
}

static void sessions(void **state)
{
    (void)state;
    struct seen seen;
    open_transport(&seen, "/session", NULL);
    struct mcp_head head = {.id = 1, .method = "initialize", .timeout_ms = WAIT_MS};
    send_head(&seen, "initialize", &head);
    wait_for(&seen, "\"result\"");
    send_plain(&seen, 0, "notifications/initialized");
    send_plain(&seen, 1, "tools/list");
    wait_for(&seen, "heard");
    wait_for(&seen, "\"result\":{}}\n200");
    assert_true(place_of("accepted: initialized") < place_of("listening"));
    assert_true(place_of("listening") < place_of("tools/list"));
    assert_int_equal(count_requests("Mcp-Session-Id: s-1\r\n"), 3);
    assert_int_equal(count_requests("MCP-Protocol-Version: 2025-11-25\r\n"), 3);
    assert_true(strstr(requests[place_of("GET ")], "Mcp-Session-Id: s-1\r\n"));
    close_transport(&seen);
    assert_int_equal(count_requests("DELETE /session"), 1);
    assert_true(strstr(requests[place_of("DELETE ")], "Mcp-Session-Id: s-1\r\n"));
}

static void check_lost(const char *method)
{
    struct seen seen;
    open_transport(&seen, "/session", NULL);
    struct mcp_head head = {.id = 1, .method = "initialize", .timeout_ms = WAIT_MS};
    send_head(&seen, "initialize", &head);
    wait_for(&seen, "\"result\"");
    send_plain(&seen, 7, method);
    wait_for(&seen, "session lost 7\n");
    assert_int_equal(count_requests("Mcp-Session-Id"), 1);
    send_plain(&seen, 8, method); /* without a session, it is a plain failure */
    wait_for(&seen, "40");
    assert_int_equal(count_requests("Mcp-Session-Id"), 1);
    close_transport(&seen);
    assert_int_equal(count_requests("DELETE"), 0);
}

static void lost_sessions(void **state)
{
    (void)state;
    check_lost("lost");
    check_lost("lost400");
}

static void modern_headers(void **state)
{
    (void)state;
    struct seen seen;
    open_transport(&seen, "/json", "{\"X-Key\":\"abc\"}");
    AUTOJSON json_t *tool = json_loads("{\"inputSchema\":{\"properties\":{\"r\":{\"type\":"
                                       "\"string\",\"x-mcp-header\":\"Region\"},\"e\":{\"type\":"
                                       "\"string\",\"x-mcp-header\":\"Empty\"}}}}",
                                       0, NULL);
    AUTOJSON json_t *message =
        json_loads("{\"id\":1,\"params\":{\"arguments\":{\"r\":\"Ü\",\"e\":\"\"}}}", 0, NULL);
    struct mcp_head head = {.id = 1,
                            .method = "tools/call",
                            .name = "söme",
                            .tool = tool,
                            .protocol_version = "2026-07-28",
                            .modern = true,
                            .timeout_ms = WAIT_MS};
    assert_int_equal(seen.transport->class->send(seen.transport, message, &head), ERR_OK);
    wait_for(&seen, "\"result\"");
    static const char *const lines[] = {
        "Accept: application/json, text/event-stream\r\n",
        "Content-Type: application/json\r\n",
        "MCP-Protocol-Version: 2026-07-28\r\n",
        "Mcp-Method: tools/call\r\n",
        "Mcp-Name: =?base64?c8O2bWU=?=\r\n",
        "Mcp-Param-Region: =?base64?w5w=?=\r\n",
        "Mcp-Param-Empty:\r\n",
        "X-Key: abc\r\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_non_null(strstr(requests[0], lines[i]));

    /* What can't be sent is not. */
    json_object_set_new(json_object_get(json_object_get(message, "params"), "arguments"), "r",
                        json_integer((json_int_t)1 << 60));
    head.id = 2;
    assert_int_equal(seen.transport->class->send(seen.transport, message, &head), ERR_OK);
    wait_for(&seen, "no answer 2: -1, the argument for header Mcp-Param-Region");
    assert_int_equal(request_count, 1);
    close_transport(&seen);
}

static void open_streams_take_no_room(void **state)
{
    (void)state;
    struct seen seen;
    open_transport(&seen, "/open", NULL);
    keep_requests = false;
    for (int batch = 0; batch < 2; batch++) {
        for (int id = 1; id <= 300; id++)
            send_plain(&seen, batch * 300 + id, "tools/call");
        for (int id = 1; id <= 300; id++) {
            char wanted[40];
            snprintf(wanted, sizeof wanted, "\"id\":%d,\"result\"", batch * 300 + id);
            wait_for(&seen, wanted);
        }
    }
    keep_requests = true;
    close_transport(&seen);
}

static void secrets_stay_secret(void **state)
{
    (void)state;
    struct seen seen;
    open_transport(&seen, "/mirror", "{\"Authorization\":\"Bearer hidden-token\"}");
    send_plain(&seen, 1, "tools/call");
    wait_for(&seen, "no answer 1: 403, it answered HTTP 403\n");
    assert_int_equal(count_requests("hidden-token"), 1);
    assert_null(strstr(buf_text(&seen.text), "hidden"));
    close_transport(&seen);
}

static bool nobody_waits(void *arg)
{
    (void)arg;
    return !held;
}

static bool somebody_waits(void *arg)
{
    (void)arg;
    return held;
}

static void forgetting_closes(void **state)
{
    (void)state;
    struct seen seen;
    open_transport(&seen, "/hang", NULL);
    send_plain(&seen, 3, "tools/call");
    assert_true(loop_run_until(seen.loop, somebody_waits, NULL, WAIT_MS));
    seen.transport->class->forget(seen.transport, 4);
    seen.transport->class->forget(seen.transport, 3);
    assert_true(loop_run_until(seen.loop, nobody_waits, NULL, WAIT_MS));
    assert_string_equal(buf_text(&seen.text), "");
    close_transport(&seen);
}

/* Authorization: the second token is good. */

struct asker {
    struct seen *seen;
    void (*done)(void *arg, const char *why);
    void *done_arg;
    bool cancelled;
};

static void auth_lines(void *arg, const char *method, const char *url, json_t *lines)
{
    struct asker *asker = arg;
    assert_string_equal(method, "POST");
    assert_non_null(strstr(url, "/auth"));
    AUTOFREE char *line = mem_printf("Authorization: Bearer %u", asker->seen->asked);
    json_array_append_new(lines, json_string(line));
}

static void auth_later(void *arg)
{
    struct asker *asker = arg;
    asker->done(asker->done_arg, asker->seen->refuse ? "nobody signed in" : NULL);
}

static void auth_refused(void *arg, const struct http_answer *answer_, unsigned attempt,
                         void (*done)(void *, const char *), void *done_arg)
{
    struct asker *asker = arg;
    assert_int_equal(answer_->status, 401);
    assert_string_equal(answer_->www_authenticate, "Bearer scope=\"x\"");
    asker->seen->asked++;
    assert_in_range(attempt, 1, asker->seen->asked);
    asker->done = done;
    asker->done_arg = done_arg;
    loop_defer(asker->seen->loop, auth_later, asker);
}

static void auth_cancel(void *arg)
{
    ((struct asker *)arg)->cancelled = true;
}

static void authorization(void **state)
{
    (void)state;
    for (int refuse = 0; refuse < 2; refuse++) {
        struct seen seen;
        struct asker asker = {.seen = &seen};
        struct mcp_http_auth auth = {auth_lines, auth_refused, auth_cancel, &asker};
        open_transport(&seen, "/auth", NULL);
        seen.refuse = refuse;
        mcp_http_set_auth(seen.transport, &auth);
        send_plain(&seen, 1, "tools/call");
        if (!refuse)
            send_plain(&seen, 2, "tools/call");
        wait_for(&seen, refuse ? "no answer 1: 401, nobody signed in\n" : "200 {");
        if (!refuse)
            wait_for(&seen, "\"id\":2,");
        /* One asks for all: 2 is refused when 1 has brought something better already. */
        assert_int_equal(seen.asked, refuse ? 1 : 2);
        close_transport(&seen);
    }
    struct seen seen;
    open_transport(&seen, "/auth", "{\"authorization\":\"Bearer 1\"}");
    send_plain(&seen, 1, "tools/call");
    wait_for(&seen, "no answer 1: 401, it answered HTTP 401: who are you\n");
    close_transport(&seen);
}

static void specs(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"url\":\"file:///etc/passwd\"}",
        "{\"url\":\"http://u:p@127.0.0.1/\"}",
        "{\"url\":\"http://127.0.0.1/#x\"}",
        "{\"url\":1}",
        "{}",
        "{\"url\":\"http://127.0.0.1/\",\"headers\":[]}",
        "{\"url\":\"http://127.0.0.1/\",\"headers\":{\"a\":1}}",
        "{\"url\":\"http://127.0.0.1/\",\"headers\":{\"mcp-session-id\":\"x\"}}",
        "{\"url\":\"http://127.0.0.1/\",\"headers\":{\"Mcp-Param-X\":\"x\"}}",
    };
    struct loop *loop = loop_new();
    struct http_client *client = http_client_new(loop, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        AUTOJSON json_t *spec = json_loads(bad[i], 0, NULL);
        struct mcp_transport_options options = {loop, client, spec, &events, NULL};
        struct mcp_transport *transport = NULL;
        char why[MCP_WHY_SIZE_MAX] = "";
        assert_int_equal(mcp_http_new(&options, &transport, why), ERR_UPSTREAM);
        assert_true(*why && !strstr(why, "passwd") && !strstr(why, "u:p"));
    }
    http_client_destroy(&client);
    loop_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(nothing_is_sent_twice),
        cmocka_unit_test(never_sent),
        cmocka_unit_test(ceilings),
        cmocka_unit_test(streams_are_resumed),
        cmocka_unit_test(redirections_nearby),
        cmocka_unit_test(sessions),
        cmocka_unit_test(lost_sessions),
        cmocka_unit_test(modern_headers),
        cmocka_unit_test(open_streams_take_no_room),
        cmocka_unit_test(secrets_stay_secret),
        cmocka_unit_test(forgetting_closes),
        cmocka_unit_test(authorization),
        cmocka_unit_test(specs),
    };
    return cmocka_run_group_tests(tests, start_server, NULL);
}
