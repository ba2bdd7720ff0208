/* POST /run. What gathers while packs are in flight goes out together: no timer, so a lone submit
 * waits for nothing. */
#include "services/gateway/gateway.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/crypto.h"
#include "libcommon/js_write.h"
#include "libcommon/mem.h"
#include "services/gateway/results.h"
#include "services/gateway/run_options.h"

enum {
    PACK_ITEMS = 64,
    PACK_BYTES = 1 << 20,
    OPTIONS_BYTES = 192 << 10,
    /* Each byte of a message may take six. */
    ITEM_BYTES = 6 * MESSAGE_MAX + OPTIONS_BYTES + 8192,
    UUIDS_A_FETCH = 64,
    PACKS_A_REPLICA = 4, /* two are committed at a time, while the next are on their way */
    REPLICAS_MAX = 64,
    WAITING_ITEMS = 4096,
    WAITING_BYTES = 64 << 20,
    SWEEP_MS = 500,
    KEY_MAX = 255,
};

struct item {
    struct call *call; /* NULL: the client has gone */
    struct buf json;
    char job_id[CRYPTO_UUID_SIZE];
    struct span span;
    int64_t deadline;
    struct item *next;
};

struct pack {
    struct submit *submit;
    struct item *items[PACK_ITEMS];
    size_t count;
    uint64_t call;
    struct pack *prev, *next;
};

struct submit {
    struct gateway *gateway;
    struct item *first, **last;
    size_t waiting, waiting_bytes;
    struct pack *packs;
    unsigned in_flight;
    struct loop_timer *sweep;
    bool flush_due;
    uint8_t random[UUIDS_A_FETCH][CRYPTO_UUID7_RANDOM];
    size_t random_left;
};

static void flush(struct submit *submit);

static void item_detach(void *arg)
{
    ((struct item *)arg)->call = NULL;
}

static void item_free(struct item *item)
{
    if (item->call)
        item->call->free_extra = NULL;
    buf_fini(&item->json);
    free(item);
}

static void end_span(const struct item *item, const char *job_id, const char *error)
{
    if (span_is_on(&item->span))
        span_end(&item->span, "send jobs", SPAN_PRODUCER, error,
                 SPAN_ATTRS(SPAN_S("messaging.system", "mcpbus"),
                            SPAN_S("messaging.operation.name", "send"),
                            SPAN_S("messaging.operation.type", "send"),
                            SPAN_S("messaging.destination.name", "jobs"),
                            SPAN_S("messaging.message.id", job_id), SPAN_S("error.type", error)));
}

static void item_accepted(struct item *item, const char *job_id)
{
    static const char head[] = "{\"job_id\":";
    static const char tail[] =
        ",\"status\":\"queued\",\"message\":\"Task has been queued for processing\"}";
    struct buf text;
    end_span(item, job_id, NULL);
    if (item->call) {
        buf_init(&text, BODY_MAX);
        buf_add(&text, head, sizeof(head) - 1);
        js_add_string(&text, job_id, strlen(job_id));
        buf_add(&text, tail, sizeof(tail) - 1);
        call_buf(item->call, 200, &text);
    }
    item_free(item);
}

static void item_failed(struct item *item, enum err error, const char *detail,
                        int64_t retry_after_ms)
{
    end_span(item, NULL, err_name(error));
    if (item->call)
        call_error(item->call, error, detail, retry_after_ms);
    item_free(item);
}

/* What most results are: the job under the id that was made here. */
static bool is_plain(const struct item *item, const char *text, size_t len)
{
    static const char head[] = "{\"job_id\":\"";
    const size_t head_len = sizeof(head) - 1, id_len = sizeof(item->job_id) - 1;
    return len == head_len + id_len + 2 && memcmp(text, head, head_len) == 0 &&
           memcmp(text + head_len, item->job_id, id_len) == 0 &&
           memcmp(text + head_len + id_len, "\"}", 2) == 0;
}

static void item_done(struct item *item, const char *text, size_t len)
{
    AUTOJSON json_t *result = NULL;
    if (is_plain(item, text, len)) {
        item_accepted(item, item->job_id);
        return;
    }
    bool good = js_parse(text, len, &result, NULL) == ERR_OK;
    const char *name = js_str(result, "error", NULL), *job_id = js_str(result, "job_id", NULL);
    if (good && job_id && !name) { /* only an id says that the job is committed */
        item_accepted(item, job_id);
        return;
    }
    enum err error = name ? err_from_name(name) : ERR_INTERNAL;
    item_failed(item, error ? error : ERR_INTERNAL, js_str(result, "detail", err_text(error)),
                js_int(result, "retry_after_ms", 0));
}

static void pack_free(struct pack *pack)
{
    struct submit *submit = pack->submit;
    if (pack->prev)
        pack->prev->next = pack->next;
    else
        submit->packs = pack->next;
    if (pack->next)
        pack->next->prev = pack->prev;
    submit->in_flight--;
    free(pack);
}

/* JSON of another form than ours: with spaces, say, or more members. */
static void give_parsed(struct pack *pack, const char *text, size_t len)
{
    AUTOJSON json_t *answer = NULL;
    enum err err = js_parse(text, len, &answer, NULL);
    const json_t *results = err ? NULL : json_object_get(answer, "results");
    for (size_t i = 0; i < pack->count; i++) {
        AUTOFREE char *result = js_dump(json_array_get(results, i));
        item_done(pack->items[i], result, strlen(result));
    }
}

static void give(struct pack *pack, const char *text, size_t len)
{
    const char *begins[PACK_ITEMS];
    size_t lens[PACK_ITEMS];
    if (!results_split(text, len, pack->count, begins, lens)) {
        give_parsed(pack, text, len);
        return;
    }
    for (size_t i = 0; i < pack->count; i++)
        item_done(pack->items[i], begins[i], lens[i]);
}

static void pack_answered(void *arg, const struct bus_answer *answer)
{
    struct pack *pack = arg;
    struct submit *submit = pack->submit;
    if (!answer->last)
        return;
    for (size_t i = 0; answer->error && i < pack->count; i++)
        item_failed(pack->items[i], answer->error, answer->detail, answer->retry_after_ms);
    if (!answer->error)
        give(pack, answer->text, answer->text_len);
    pack_free(pack);
    flush(submit);
}

static struct item *take_first(struct submit *submit)
{
    struct item *item = submit->first;
    submit->first = item->next;
    if (!submit->first)
        submit->last = &submit->first;
    submit->waiting--;
    submit->waiting_bytes -= item->json.len;
    return item;
}

/* Fills a pack; the time that its oldest item has left, or 0 when nothing waits. */
static int64_t fill(struct submit *submit, struct pack *pack, struct buf *text)
{
    int64_t left = 0, now = loop_now(submit->gateway->loop);
    while (submit->first && pack->count < PACK_ITEMS) {
        if (pack->count > 0 && text->len + submit->first->json.len + 3 > PACK_BYTES)
            break;
        struct item *item = take_first(submit);
        if (!item->call) {
            item_free(item);
            continue;
        }
        if (pack->count == 0)
            left = item->deadline > now ? item->deadline - now : 1;
        js_add_item(text, buf_text(&item->json), item->json.len);
        buf_fini(&item->json);
        pack->items[pack->count++] = item;
    }
    return left;
}

static void send_pack(struct submit *submit)
{
    static const char head[] = "{\"items\":[", tail[] = "]}";
    struct pack *pack = mem_alloc(sizeof(*pack));
    struct buf text;
    buf_init(&text, ITEM_BYTES + PACK_BYTES);
    buf_add(&text, head, sizeof(head) - 1);
    pack->submit = submit;
    int64_t left = fill(submit, pack, &text);
    buf_add(&text, tail, sizeof(tail) - 1);
    if (pack->count == 0) {
        buf_fini(&text);
        free(pack);
        return;
    }
    pack->next = submit->packs;
    if (pack->next)
        pack->next->prev = pack;
    submit->packs = pack;
    submit->in_flight++;
    pack->call = bus_call(submit->gateway->bus,
                          (struct bus_request){.method = "jobs.submit",
                                               .text = &text,
                                               .timeout_ms = left,
                                               .idempotent = true,
                                               .raw = true},
                          pack_answered, pack);
}

static void flush(struct submit *submit)
{
    uint64_t instances[REPLICAS_MAX];
    size_t replicas = bus_peers(submit->gateway->bus, "jobs", instances, REPLICAS_MAX);
    unsigned most = PACKS_A_REPLICA * (unsigned)(replicas ? replicas : 1);
    while (submit->first && submit->in_flight < most)
        send_pack(submit);
}

/* Of the loop, so that all that this pass of it has read goes together. */
static bool turn(void *arg)
{
    struct submit *submit = arg;
    bool due = submit->flush_due;
    submit->flush_due = false;
    if (due)
        flush(submit);
    return due;
}

static void sweep(void *arg)
{
    struct submit *submit = arg;
    int64_t now = loop_now(submit->gateway->loop);
    while (submit->first && submit->first->deadline <= now)
        item_failed(take_first(submit), ERR_OVERLOADED, err_text(ERR_OVERLOADED), 1000);
    loop_timer_start(submit->sweep, SWEEP_MS);
}

static void enqueue(struct submit *submit, struct call *call, struct item *item)
{
    item->call = call;
    item->deadline = loop_now(submit->gateway->loop) + SUBMIT_TIMEOUT_MS;
    call->extra = item;
    call->free_extra = item_detach;
    *submit->last = item;
    submit->last = &item->next;
    submit->waiting++;
    submit->waiting_bytes += item->json.len;
    submit->flush_due = true;
}

static void hash_text(const char *message, size_t len, char ret_hex[2 * CRYPTO_SHA256_BYTES + 1])
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    crypto_sha256(message, len, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

static bool key_is_valid(const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < len; i++)
        if (key[i] < 0x20 || key[i] > 0x7e)
            return false;
    return len >= 1 && len <= KEY_MAX;
}

static void new_job_id(struct submit *submit, char ret_id[CRYPTO_UUID_SIZE])
{
    if (submit->random_left == 0) {
        crypto_random(submit->random, sizeof(submit->random));
        submit->random_left = UUIDS_A_FETCH;
    }
    crypto_uuid7_from(submit->random[--submit->random_left], ret_id);
}

/* A message without options has the hash that it always had: its key may be older than they. */
static void add_key(struct buf *json, const char *key, const char *message, size_t len,
                    const struct run_options *options)
{
    char hash[2 * CRYPTO_SHA256_BYTES + 1];
    if (run_options_any(options)) {
        AUTOFREE char *text = run_options_identity(options, message);
        hash_text(text, strlen(text), hash);
    } else {
        hash_text(message, len, hash);
    }
    js_add_member(json, "key", key);
    js_add_member(json, "hash", hash);
}

static void add_options(struct buf *json, const struct run_options *options)
{
    if (options->conversation_id)
        js_add_member(json, "conversation_id", options->conversation_id);
    if (options->callback_url)
        js_add_member(json, "callback_url", options->callback_url);
    if (!options->more)
        return;
    js_add_key(json, "options");
    js_dump_buf(options->more, json);
}

/* What follows the job from here on, wherever it goes. */
static void add_trace(const struct call *call, struct item *item)
{
    const struct http_request *request = call_request(call);
    const char *state = http_request_header(request, "tracestate");
    char parent[TRACE_PARENT_SIZE];
    item->span = span_begin(&call->span.trace);
    js_add_member(&item->json, "request_id", http_request_trace(request));
    if (call->is_own_trace)
        return;
    trace_format(&item->span.trace, parent);
    js_add_member(&item->json, "traceparent", parent);
    if (http_request_header(request, "traceparent") && trace_state_is_good(state))
        js_add_member(&item->json, "tracestate", state);
}

/* `message` ends with a NUL when there are options: it is a parsed one then. */
static struct item *item_new(const struct call *call, const char *message, size_t len,
                             const char *key, const struct run_options *options)
{
    struct item *item = mem_alloc(sizeof(*item));
    struct buf *json = &item->json;
    new_job_id(call->gateway->submit, item->job_id);
    buf_init(json, ITEM_BYTES);
    buf_add_char(json, '{');
    js_add_member(json, "job_id", item->job_id);
    js_add_member(json, "user_id", call->user_id);
    js_add_key(json, "message");
    js_add_string(json, message, len);
    if (key)
        add_key(json, key, message, len, options);
    add_options(json, options);
    add_trace(call, item);
    buf_add_char(json, '}');
    return item;
}

void route_run(struct call *call)
{
    struct submit *submit = call->gateway->submit;
    const char *key = http_request_header(call_request(call), "Idempotency-Key");
    AUTOJSON json_t *body = NULL;
    size_t len = 0;
    struct run_options options;
    const char *message = validate_member(call, "message", MESSAGE_MAX, &body, &len);
    if (!message || !run_options_read(call, body, &options))
        return;
    if (key && !key_is_valid(key))
        call_detail(call, 400, "Idempotency-Key must be 1 to 255 printable ASCII characters");
    else if (submit->waiting >= WAITING_ITEMS || submit->waiting_bytes >= WAITING_BYTES)
        call_error(call, ERR_OVERLOADED, err_text(ERR_OVERLOADED), 1000);
    else
        enqueue(submit, call, item_new(call, message, len, key, &options));
    json_decref(options.more);
}

struct submit *submit_new(struct gateway *gateway)
{
    struct submit *submit = mem_alloc(sizeof(*submit));
    submit->gateway = gateway;
    submit->last = &submit->first;
    submit->sweep = loop_timer_new(gateway->loop, sweep, submit);
    loop_timer_start(submit->sweep, SWEEP_MS);
    loop_source_add(gateway->loop, turn, submit);
    return submit;
}

void submit_destroy(struct submit **submit_p)
{
    struct submit *submit = *submit_p;
    if (!submit)
        return;
    *submit_p = NULL;
    loop_source_remove(submit->gateway->loop, turn, submit);
    while (submit->first)
        item_free(take_first(submit));
    struct pack *next;
    for (struct pack *pack = submit->packs; pack; pack = next) {
        next = pack->next;
        bus_cancel(submit->gateway->bus, pack->call);
        for (size_t i = 0; i < pack->count; i++)
            item_free(pack->items[i]);
        pack_free(pack);
    }
    loop_timer_destroy(&submit->sweep);
    free(submit);
}
