/* The exporter against a collector on the same loop. */
#include "tests/unit/unit.h"

#include "libcommon/http_server.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "libcommon/otlp.h"

static struct loop *loop;
static struct http_server *collector;
static json_t *got; /* bodies */
static char got_header[64];
static int status;
static const char *reply;
static bool silent;

static void on_request(void *arg, struct http_request *request)
{
    (void)arg;
    size_t len = 0;
    const char *body = http_request_body(request, &len);
    json_t *value = NULL;
    assert_string_equal(http_request_path(request), "/base/v1/traces");
    assert_string_equal(http_request_header(request, "Content-Type"), "application/json");
    const char *header = http_request_header(request, "x-key");
    snprintf(got_header, sizeof got_header, "%s", header ? header : "");
    assert_int_equal(js_parse(body, len, &value, NULL), ERR_OK);
    json_array_append_new(got, value);
    if (!silent)
        http_respond(request, status, "application/json", reply, strlen(reply), NULL);
}

static struct otlp *start(const char *headers)
{
    AUTOFREE char *endpoint = mem_printf("http://127.0.0.1:%d/base", http_server_port(collector));
    struct otlp_options options = {.loop = loop,
                                   .endpoint = endpoint,
                                   .headers = headers,
                                   .service = "mcpbus-test",
                                   .instance = "i1",
                                   .version = "1",
                                   .sampler = {.ratio = 1},
                                   .http = {.connections_max = 2}};
    struct otlp *otlp = NULL;
    json_array_clear(got);
    status = 200;
    reply = "{}";
    silent = false;
    return otlp_new(&options, &otlp) == ERR_OK ? otlp : NULL;
}

static long long value_of(const char *line)
{
    struct buf text;
    long long value = -1;
    buf_init(&text, 1 << 20);
    metrics_write(&text);
    const char *at = strstr(buf_text(&text), line);
    if (at)
        value = strtoll(at + strlen(line), NULL, 10);
    buf_fini(&text);
    return value;
}

#define DROPPED(reason) value_of("\nmcpbus_trace_spans_dropped_total{reason=\"" reason "\"} ")

static json_t *spans_of(size_t index)
{
    json_t *resource =
        json_array_get(json_object_get(json_array_get(got, index), "resourceSpans"), 0);
    return json_object_get(json_array_get(json_object_get(resource, "scopeSpans"), 0), "spans");
}

static void make(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct span span = span_begin_root(NULL, NULL);
        span_end(&span, "n\xc3\xa4me\xff", SPAN_CLIENT, "b\"ad",
                 SPAN_ATTRS(SPAN_S("text", "a\n"), SPAN_I("number", 7), SPAN_S("none", NULL)));
    }
}

static void test_form(void **state)
{
    (void)state;
    struct otlp *otlp = start("x-key=a%20b, x-other=c");
    struct span root = span_begin_root(NULL, NULL), child = span_begin(&root.trace);
    span_end_at(&child, "child", SPAN_INTERNAL, NULL, NULL, root.start_us + 5);
    make(1);
    otlp_destroy(&otlp, 5000);
    assert_int_equal(json_array_size(got), 1);
    assert_string_equal(got_header, "a b");
    json_t *resource = json_array_get(json_object_get(json_array_get(got, 0), "resourceSpans"), 0);
    AUTOFREE char *about = js_dump(json_object_get(resource, "resource"));
    assert_non_null(
        strstr(about, "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"mcpbus-test\"}}"));
    const json_t *first = json_array_get(spans_of(0), 0), *second = json_array_get(spans_of(0), 1);
    assert_int_equal(strlen(js_str(first, "traceId", "")), 32);
    assert_int_equal(strlen(js_str(first, "parentSpanId", "")), 16);
    assert_int_equal(js_int(first, "kind", 0), 1);
    assert_non_null(strstr(js_str(first, "endTimeUnixNano", ""), "000"));
    assert_null(json_object_get(second, "parentSpanId"));
    assert_string_equal(js_str(second, "name", ""), "n\xc3\xa4me\xef\xbf\xbd");
    AUTOFREE char *attributes = js_dump(json_object_get(second, "attributes"));
    assert_string_equal(attributes, "[{\"key\":\"text\",\"value\":{\"stringValue\":\"a\\n\"}},"
                                    "{\"key\":\"number\",\"value\":{\"intValue\":\"7\"}}]");
    assert_int_equal(js_int(json_object_get(second, "status"), "code", 0), 2);
    assert_string_equal(js_str(json_object_get(second, "status"), "message", ""), "b\"ad");
}

static void test_refusals_are_counted(void **state)
{
    (void)state;
    long long dropped = DROPPED("refused"), sent = value_of("\nmcpbus_trace_spans_exported_total ");
    struct otlp *otlp = start(NULL);
    status = 400;
    make(3);
    otlp_destroy(&otlp, 5000);
    assert_int_equal(DROPPED("refused"), dropped + 3);
    otlp = start(NULL);
    reply = "{\"partialSuccess\": {\"rejectedSpans\": \"2\", \"errorMessage\": \"no\"}}";
    make(5);
    otlp_destroy(&otlp, 5000);
    assert_int_equal(DROPPED("refused"), dropped + 5);
    assert_int_equal(value_of("\nmcpbus_trace_spans_exported_total "), sent + 3);
    otlp = start(NULL);
    reply = "{\"partialSuccess\": {\"rejectedSpans\": -9, \"errorMessage\": [";
    make(1);
    otlp_destroy(&otlp, 5000);
    assert_int_equal(value_of("\nmcpbus_trace_spans_exported_total "), sent + 4);
}

static bool has_one(void *arg)
{
    (void)arg;
    return json_array_size(got) > 0;
}

static void test_the_queue_is_bounded(void **state)
{
    (void)state;
    long long dropped = DROPPED("queue_full");
    struct otlp *otlp = start(NULL);
    silent = true;
    make(600);
    assert_true(loop_run_until(loop, has_one, NULL, 10000));
    assert_int_equal(json_array_size(spans_of(0)), 600);
    make(3000);
    assert_int_equal(DROPPED("queue_full"), dropped + 3000 - 2048);
    assert_int_equal(value_of("\nmcpbus_trace_spans_waiting "), 600 + 2048);
    otlp_destroy(&otlp, 10); /* gives it up */
    make(1);                 /* nobody listens any more */
    silent = false;
}

static void test_a_collector_that_is_away(void **state)
{
    (void)state;
    struct otlp_options options = {.loop = loop,
                                   .endpoint = "http://127.0.0.1:9/",
                                   .service = "mcpbus-test",
                                   .instance = "i1",
                                   .version = "1",
                                   .sampler = {.ratio = 1},
                                   .http = {.connections_max = 2}};
    struct otlp *otlp = NULL;
    long long dropped = DROPPED("unreachable");
    assert_int_equal(otlp_new(&options, &otlp), ERR_OK);
    make(2);
    otlp_destroy(&otlp, 10000);
    assert_int_equal(DROPPED("unreachable"), dropped + 2);
}

static void test_bad_headers_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"a", "=b", "a b=c", "a=%0d%0aX: y", "a=b\n", "a=b,c"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(start(bad[i]));
    struct otlp *otlp = start(" , a=b=c%,");
    assert_non_null(otlp);
    otlp_destroy(&otlp, 0);
}

static int set_up(void **state)
{
    (void)state;
    struct http_server_options options = {.address = "127.0.0.1",
                                          .body_max = 8 << 20,
                                          .connections_max = 16,
                                          .streams_max = 1,
                                          .receive_timeout_ms = 10000,
                                          .answer_timeout_ms = 20000,
                                          .on_request = on_request};
    loop = loop_new();
    got = json_array();
    return http_server_new(loop, &options, &collector);
}

static int tear_down(void **state)
{
    (void)state;
    http_server_destroy(&collector);
    json_decref(got);
    loop_destroy(&loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_refusals_are_counted),
        cmocka_unit_test(test_the_queue_is_bounded),
        cmocka_unit_test(test_a_collector_that_is_away),
        cmocka_unit_test(test_bad_headers_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
