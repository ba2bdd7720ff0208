#include "libcommon/otlp.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/js_write.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"

enum {
    SPANS_MAX = 2048, /* that wait; as many may be on their way */
    BYTES_MAX = 2 << 20,
    HEAD_MAX = 4096,
    BATCH = 512, /* so many don't wait for the timer */
    BATCH_MS = 1000,
    TIMEOUT_MS = 10000,
    ANSWER_MAX = 64 << 10,
    RETRY_FIRST_MS = 1000,
    RETRY_MAX_MS = 30000,
    RETRIES_MAX = 4,
    COMPLAINT_MS = 60000,
    HEADERS_MAX = 16,
    HEADER_MAX = 4096,
};

struct otlp {
    struct otlp_options options;
    struct http_client *http;
    char *url, *head;
    char *headers[HEADERS_MAX + 2];
    struct buf waiting; /* spans as JSON, with commas */
    size_t waiting_count;
    struct buf sending; /* a whole body */
    size_t sending_count;
    unsigned tries;
    uint64_t call;
    bool closing;
    int64_t started_us, complained_at;
    struct loop_timer *timer;
};

static void count_dropped(const char *labels, size_t count)
{
    metric_add(metric_counter("mcpbus_trace_spans_dropped_total", labels,
                              "Spans that no collector has got, by reason."),
               (int64_t)count);
}

static void count_sent(size_t count)
{
    metric_add(metric_counter("mcpbus_trace_spans_exported_total", NULL,
                              "Spans that the collector has accepted."),
               (int64_t)count);
}

static void on_write(void *arg)
{
    const struct otlp *otlp = arg;
    metric_set(metric_gauge("mcpbus_trace_spans_waiting", NULL, "Spans that wait to be exported."),
               (int64_t)(otlp->waiting_count + otlp->sending_count));
}

static void complain(struct otlp *otlp, const char *why)
{
    int64_t now = loop_now(otlp->options.loop);
    if (otlp->complained_at && now < otlp->complained_at + COMPLAINT_MS)
        return;
    otlp->complained_at = now;
    log_warning("traces_not_exported", LOG_S("why", why), LOG_I("spans", otlp->sending_count));
}

static void on_span(void *arg, const struct span_record *record)
{
    struct otlp *otlp = arg;
    size_t before = otlp->waiting.len;
    if (otlp->waiting_count >= SPANS_MAX) {
        count_dropped("reason=\"queue_full\"", 1);
        return;
    }
    if (otlp->waiting_count)
        buf_add_char(&otlp->waiting, ',');
    otlp_encode(&otlp->waiting, record);
    if (otlp->waiting.full) {
        otlp->waiting.full = false;
        otlp->waiting.len = before;
        if (otlp->waiting.data)
            otlp->waiting.data[before] = 0;
        count_dropped("reason=\"queue_full\"", 1);
        return;
    }
    otlp->waiting_count++;
    if (otlp->call || otlp->sending_count)
        return;
    if (otlp->waiting_count == BATCH)
        loop_timer_start(otlp->timer, 0);
    else if (!loop_timer_active(otlp->timer))
        loop_timer_start(otlp->timer, BATCH_MS);
}

static void send_batch(struct otlp *otlp);

static void batch_ended(struct otlp *otlp)
{
    buf_reset(&otlp->sending);
    otlp->sending_count = 0;
    otlp->tries = 0;
    if (otlp->waiting_count)
        loop_timer_start(otlp->timer, otlp->closing || otlp->waiting_count >= BATCH ? 0 : BATCH_MS);
}

static bool may_pass(enum err error, int status)
{
    return error ? error == ERR_PEER_LOST || error == ERR_TIMEOUT
                 : status == 429 || status == 502 || status == 503 || status == 504;
}

/* An answer of 200 may say that some were not good enough. */
static size_t rejected(const struct http_answer *answer, size_t most)
{
    AUTOJSON json_t *body = NULL;
    if (js_parse(answer->body, answer->len, &body, NULL) != ERR_OK)
        return 0;
    const json_t *count = json_object_get(json_object_get(body, "partialSuccess"), "rejectedSpans");
    long long n = json_is_string(count) ? strtoll(json_string_value(count), NULL, 10)
                                        : (long long)json_integer_value(count);
    return n < 0 ? 0 : (size_t)n > most ? most : (size_t)n;
}

static void accepted(struct otlp *otlp, const struct http_answer *answer)
{
    size_t bad = rejected(answer, otlp->sending_count);
    if (bad) {
        complain(otlp, "the collector rejects some");
        count_dropped("reason=\"refused\"", bad);
    }
    count_sent(otlp->sending_count - bad);
    batch_ended(otlp);
}

static void on_answer(void *arg, enum err error, const struct http_answer *answer)
{
    struct otlp *otlp = arg;
    char why[64];
    otlp->call = 0;
    metric_observe_since(metric_histogram("mcpbus_trace_export_duration_seconds", NULL,
                                          "What one request to the collector took."),
                         otlp->started_us);
    if (!error && answer->status >= 200 && answer->status < 300) {
        accepted(otlp, answer);
        return;
    }
    snprintf(why, sizeof why, "the collector answers with status %d", error ? 0 : answer->status);
    complain(otlp, !error ? why : *answer->error ? answer->error : err_text(error));
    if (!otlp->closing && may_pass(error, error ? 0 : answer->status) &&
        otlp->tries++ < RETRIES_MAX) {
        int64_t wait = (int64_t)RETRY_FIRST_MS << otlp->tries;
        if (!error && answer->retry_after_ms >= 0)
            wait = answer->retry_after_ms;
        loop_timer_start(otlp->timer, wait > RETRY_MAX_MS ? RETRY_MAX_MS : wait);
        return;
    }
    count_dropped(error ? "reason=\"unreachable\"" : "reason=\"refused\"", otlp->sending_count);
    batch_ended(otlp);
}

static void send_batch(struct otlp *otlp)
{
    struct http_call call = {.method = "POST",
                             .url = otlp->url,
                             .headers = (const char *const *)otlp->headers,
                             .body = buf_text(&otlp->sending),
                             .body_len = otlp->sending.len,
                             .body_kept = true,
                             .timeout_ms = TIMEOUT_MS,
                             .answer_max = ANSWER_MAX,
                             .repeatable = true};
    otlp->started_us = metric_now_us();
    otlp->call = http_client_send(otlp->http, &call, on_answer, otlp);
}

static void on_timer(void *arg)
{
    struct otlp *otlp = arg;
    if (otlp->call)
        return;
    if (!otlp->sending_count) {
        if (!otlp->waiting_count)
            return;
        buf_add_str(&otlp->sending, otlp->head);
        buf_add(&otlp->sending, buf_text(&otlp->waiting), otlp->waiting.len);
        buf_add_str(&otlp->sending, "]}]}]}");
        otlp->sending_count = otlp->waiting_count;
        buf_reset(&otlp->waiting);
        otlp->waiting_count = 0;
    }
    send_batch(otlp);
}

static void add_resource(struct buf *out, const char *key, const char *value)
{
    json_t *attr = json_pack("{s:s, s:{s:o}}", "key", key, "value", "stringValue",
                             js_string_capped(value, strlen(value), 256, ""));
    AUTOFREE char *text = js_dump(attr);
    json_decref(attr);
    js_add_item(out, text, strlen(text));
}

static char *make_head(const struct otlp_options *options)
{
    char host[256] = "";
    struct buf head;
    buf_init(&head, HEAD_MAX);
    gethostname(host, sizeof host - 1);
    buf_add_str(&head, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    add_resource(&head, "service.name", options->service);
    add_resource(&head, "service.namespace", "mcpbus");
    add_resource(&head, "service.instance.id", options->instance);
    add_resource(&head, "service.version", options->version);
    add_resource(&head, "host.name", host);
    buf_add_str(&head, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"mcpbus\"},\"spans\":[");
    return buf_steal(&head);
}

static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("!#$%&'*+-.^_`|~", text[i]))
            return false;
    return len > 0;
}

static int hex_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "name=value" as "name: value"; NULL: it is none. */
static char *read_header(const char *text, size_t len)
{
    const char *equals = memchr(text, '=', len);
    if (!equals || !is_token(text, (size_t)(equals - text)))
        return NULL;
    char *header = mem_alloc(len + 2);
    size_t at = (size_t)(equals - text);
    memcpy(header, text, at);
    header[at++] = ':';
    header[at++] = ' ';
    for (const char *c = equals + 1; c < text + len; c++) {
        int high = *c == '%' && c + 2 < text + len ? hex_of(c[1]) : -1;
        int low = high >= 0 ? hex_of(c[2]) : -1;
        char value = low >= 0 ? (char)(high << 4 | low) : *c;
        c += low >= 0 ? 2 : 0;
        if (value < 0x20 || value == 0x7f) {
            mem_free_secret(&header);
            return NULL;
        }
        header[at++] = value;
    }
    return header;
}

static enum err read_headers(struct otlp *otlp, const char *text)
{
    size_t count = 1;
    otlp->headers[0] = mem_strdup("Content-Type: application/json");
    while (text && *text) {
        size_t len = strcspn(text, ","), blank = strspn(text, " ");
        const char *next = text + len + (text[len] == ',');
        blank = blank > len ? len : blank;
        while (len > blank && text[len - 1] == ' ')
            len--;
        if (len > blank) {
            char *header = count <= HEADERS_MAX && len < HEADER_MAX
                               ? read_header(text + blank, len - blank)
                               : NULL;
            if (!header)
                return ERR_INVALID;
            otlp->headers[count++] = header;
        }
        text = next;
    }
    return ERR_OK;
}

static void otlp_free(struct otlp *otlp)
{
    for (size_t i = 0; otlp->headers[i]; i++)
        mem_free_secret(&otlp->headers[i]);
    buf_fini(&otlp->waiting);
    buf_fini(&otlp->sending);
    free(otlp->url);
    free(otlp->head);
    free(otlp);
}

enum err otlp_new(const struct otlp_options *options, struct otlp **ret_otlp)
{
    struct otlp *otlp = mem_alloc(sizeof *otlp);
    size_t len = strlen(options->endpoint);
    otlp->options = *options;
    enum err err = read_headers(otlp, options->headers);
    buf_init(&otlp->waiting, BYTES_MAX);
    buf_init(&otlp->sending, BYTES_MAX + HEAD_MAX + 64);
    if (err) {
        otlp_free(otlp);
        return err;
    }
    otlp->url = mem_printf("%s%sv1/traces", options->endpoint,
                           len && options->endpoint[len - 1] == '/' ? "" : "/");
    otlp->head = make_head(options);
    otlp->http = http_client_new(options->loop, &options->http);
    otlp->timer = loop_timer_new(options->loop, on_timer, otlp);
    count_sent(0);
    count_dropped("reason=\"queue_full\"", 0);
    count_dropped("reason=\"unreachable\"", 0);
    count_dropped("reason=\"refused\"", 0);
    metrics_on_write(on_write, otlp);
    span_set_sink(&options->sampler, on_span, otlp);
    *ret_otlp = otlp;
    return ERR_OK;
}

static bool is_empty(void *arg)
{
    const struct otlp *otlp = arg;
    return !otlp->waiting_count && !otlp->sending_count;
}

void otlp_destroy(struct otlp **otlp_p, int64_t flush_ms)
{
    struct otlp *otlp = *otlp_p;
    if (!otlp)
        return;
    *otlp_p = NULL;
    otlp->closing = true;
    span_set_sink(NULL, NULL, NULL);
    if (!is_empty(otlp)) {
        if (!otlp->call)
            loop_timer_start(otlp->timer, 0);
        loop_run_until(otlp->options.loop, is_empty, otlp, flush_ms);
    }
    metrics_off_write(on_write, otlp);
    if (otlp->call)
        http_client_cancel(otlp->http, otlp->call);
    http_client_destroy(&otlp->http);
    loop_timer_destroy(&otlp->timer);
    otlp_free(otlp);
}
