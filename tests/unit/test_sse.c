/* The parser of event streams: what the HTML standard's examples give, the same for every way of
 * cutting the bytes in pieces, and the ceilings. */
#include "tests/unit/unit.h"

#include "libcommon/buf.h"
#include "libcommon/mem.h"
#include "libcommon/sse.h"

enum { MAX = 64 };

struct seen {
    struct buf text; /* "event|data|id\n" of each */
    int stop_after;  /* events; 0: never */
    int count;
};

static bool on_event(void *arg, const struct sse_event *event)
{
    struct seen *seen = arg;
    assert_int_equal(strlen(event->data), event->len);
    buf_printf(&seen->text, "%s|%s|%s\n", event->event, event->data, event->id);
    return ++seen->count != seen->stop_after;
}

static enum err feed(struct sse *sse, const char *data, size_t len, size_t piece)
{
    enum err err = ERR_OK;
    for (size_t at = 0; at < len && !err; at += piece)
        err = sse_feed(sse, data + at, len - at < piece ? len - at : piece);
    return err;
}

static void check(const char *stream, size_t len, const char *events, const char *last_id)
{
    for (size_t piece = 1; piece <= len; piece++) {
        struct seen seen = {0};
        buf_init(&seen.text, 4096);
        struct sse *sse = sse_new(MAX, on_event, &seen);
        assert_int_equal(feed(sse, stream, len, piece), ERR_OK);
        assert_string_equal(buf_text(&seen.text), events);
        assert_string_equal(sse_last_id(sse), last_id);
        sse_destroy(&sse);
        buf_fini(&seen.text);
    }
}

#define CHECK(stream, events, last_id) check(stream, sizeof stream - 1, events, last_id)

static void events(void **state)
{
    (void)state;
    CHECK("data: YHOO\ndata: +2\ndata: 10\n\n", "message|YHOO\n+2\n10|\n", "");
    CHECK(": comment\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
          "message|first|1\nmessage|second|\nmessage| third|\n", "");
    CHECK("data\n\ndata\ndata\n\ndata:", "message||\nmessage|\n|\n", "");
    CHECK("event: add\ndata: 7\n\nevent: gone\n\ndata: 8\n\n", "add|7|\nmessage|8|\n", "");
    CHECK("data: a:b\nunknown: x\ndatax: y\n\n", "message|a:b|\n", "");
}

static void line_ends(void **state)
{
    (void)state;
    CHECK("data: a\r\ndata: b\r\n\r\ndata: c\r\rdata: d\n\r\ndata: e\r\n\n",
          "message|a\nb|\nmessage|c|\nmessage|d|\nmessage|e|\n", "");
}

static void byte_order_mark(void **state)
{
    (void)state;
    CHECK("\xef\xbb\xbf"
          "data: a\n\n"
          "\xef\xbb\xbf"
          "data: b\n\n",
          "message|a|\n", "");
}

static void ids(void **state)
{
    (void)state;
    /* An id counts from its event's end on, whether or not the event has data. */
    CHECK("id: 1\ndata\n\nid: 2\n\nid: 3\ndata: cut off", "message||1\n", "2");
    CHECK("id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", "message|a|1\nmessage|b|1\n", "1");
}

static int64_t retry_of(const char *stream)
{
    struct seen seen = {0};
    struct sse *sse = sse_new(MAX, on_event, &seen);
    assert_int_equal(sse_feed(sse, stream, strlen(stream)), ERR_OK);
    int64_t ms = sse_retry_ms(sse);
    sse_destroy(&sse);
    return ms;
}

static void retries(void **state)
{
    (void)state;
    assert_int_equal(retry_of("data: a\n"), -1);
    assert_int_equal(retry_of("retry: 250\n"), 250);
    assert_int_equal(retry_of("retry: 250\nretry: 1s\nretry: -1\nretry:\n"), 250);
    assert_int_equal(retry_of("retry: 99999999999999999999999999\n"), 24 * 3600 * 1000);
}

static enum err err_of(const char *stream, int stop_after, int *ret_count)
{
    struct seen seen = {.stop_after = stop_after};
    buf_init(&seen.text, 4096);
    struct sse *sse = sse_new(MAX, on_event, &seen);
    enum err err = sse_feed(sse, stream, strlen(stream));
    *ret_count = seen.count;
    if (err) /* for good */
        assert_int_equal(sse_feed(sse, "data: a\n\n", 9), err);
    assert_int_equal(*ret_count, seen.count);
    sse_destroy(&sse);
    buf_fini(&seen.text);
    return err;
}

static void ceilings(void **state)
{
    (void)state;
    char line[MAX + 2] = {0};
    int count;
    memset(line, 'x', MAX);
    assert_int_equal(err_of(line, 0, &count), ERR_OK);
    memset(line, 'x', MAX + 1);
    assert_int_equal(err_of(line, 0, &count), ERR_TOO_LARGE);

    struct buf lines;
    buf_init(&lines, 4096);
    for (int i = 0; i < MAX / 2; i++)
        buf_add_str(&lines, "data: x\n");
    assert_int_equal(err_of(buf_text(&lines), 0, &count), ERR_OK);
    buf_add_str(&lines, "data: x\n\n");
    assert_int_equal(err_of(buf_text(&lines), 0, &count), ERR_TOO_LARGE);
    assert_int_equal(count, 0);
    buf_fini(&lines);
}

static void stopping(void **state)
{
    (void)state;
    int count;
    assert_int_equal(err_of("data: a\n\ndata: b\n\ndata: c\n\n", 2, &count), ERR_CANCELLED);
    assert_int_equal(count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events),   cmocka_unit_test(line_ends), cmocka_unit_test(byte_order_mark),
        cmocka_unit_test(ids),      cmocka_unit_test(retries),   cmocka_unit_test(ceilings),
        cmocka_unit_test(stopping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
