#include "proto/tables.h"
#include "services/worker/outbox.h"

#include <string.h>

#include "libcommon/js_write.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"

enum { LANES = 17, PEERS_MAX = 64, CALL_TIMEOUT_MS = 5000, RETRY_MS = 200, FAULTS_MAX = 300 };

struct item {
    uint64_t id;
    char *text;
    size_t bytes;
    unsigned faults; /* times that the store failed at it */
    struct item *next;
};

/* What goes to one replica; lane 0 goes to any. */
struct lane {
    struct outbox *outbox;
    uint64_t instance;
    struct item *first, *last;
    struct item *sent; /* the batch in flight */
    uint64_t call;     /* 0: none in flight */
    bool alone; /* the last batch was refused: send one by one to find out which item is bad */
};

struct outbox {
    struct outbox_options options;
    struct lane lanes[LANES];
    struct loop_timer *retry;
    bool deferred, dead;
};

static void push(struct lane *lane, struct item *item)
{
    item->next = NULL;
    if (lane->last)
        lane->last->next = item;
    else
        lane->first = item;
    lane->last = item;
}

static struct item *pop(struct lane *lane)
{
    struct item *item = lane->first;
    lane->first = item->next;
    if (!lane->first)
        lane->last = NULL;
    return item;
}

static void free_items(struct item *item)
{
    while (item) {
        struct item *next = item->next;
        free(item->text);
        free(item);
        item = next;
    }
}

static bool is_peer(const struct outbox *outbox, uint64_t instance)
{
    uint64_t peers[PEERS_MAX];
    size_t count = bus_peers(outbox->options.bus, "jobs", peers, PEERS_MAX);
    for (size_t i = 0; i < count && i < PEERS_MAX; i++)
        if (peers[i] == instance)
            return true;
    return false;
}

static struct lane *lane_for(struct outbox *outbox, uint64_t instance)
{
    struct lane *free_lane = NULL;
    if (!instance || !is_peer(outbox, instance))
        return &outbox->lanes[0];
    for (size_t i = 1; i < LANES; i++) {
        struct lane *lane = &outbox->lanes[i];
        if (lane->instance == instance)
            return lane;
        if (!free_lane && !lane->first && !lane->call)
            free_lane = lane;
    }
    if (!free_lane)
        return &outbox->lanes[0];
    free_lane->instance = instance;
    return free_lane;
}

/* The batch is the lane's again, for any replica this time, a little later. */
static void requeue(struct lane *lane)
{
    struct outbox *outbox = lane->outbox;
    struct item *item = lane->sent;
    lane->sent = NULL;
    while (item) {
        struct item *next = item->next;
        push(&outbox->lanes[0], item);
        item = next;
    }
    if (!loop_timer_active(outbox->retry))
        loop_timer_start(outbox->retry, RETRY_MS);
}

static enum err error_of(const json_t *result)
{
    const char *name = js_str(result, "error", NULL);
    if (!json_is_object(result))
        return ERR_INTERNAL;
    return name ? err_from_name(name) : ERR_OK;
}

/* A fault of the store's may pass, and an outcome that was dropped would leave its job running
 * until its deadline: that is tried for a minute. */
static bool is_worth_another(struct item *item, enum err err)
{
    return err == ERR_INTERNAL ? ++item->faults < FAULTS_MAX
                               : err && err_group(err) != ERR_GROUP_EXECUTED;
}

static void settle(struct lane *lane, const json_t *results)
{
    struct outbox *outbox = lane->outbox;
    struct item *item = lane->sent, *again = NULL;
    lane->sent = NULL;
    for (size_t i = 0; item; i++) {
        struct item *next = item->next;
        const json_t *result = json_array_get(results, i);
        enum err err = error_of(result);
        if (is_worth_another(item, err)) {
            item->next = again;
            again = item;
        } else {
            outbox->options.done(outbox->options.arg, item->id, err, result);
            item->next = NULL;
            free_items(item);
        }
        item = next;
    }
    if (again) {
        lane->sent = again;
        requeue(lane);
    }
}

static void refuse(struct lane *lane, enum err err)
{
    struct outbox *outbox = lane->outbox;
    log_error("outbox_refused", LOG_S("method", outbox->options.method),
              LOG_S("error", err_name(err)));
    if (lane->sent->next) {
        outbox->lanes[0].alone = true;
        requeue(lane);
        return;
    }
    struct item *item = lane->sent;
    lane->sent = NULL;
    outbox->options.done(outbox->options.arg, item->id, err, NULL);
    free_items(item);
}

static void schedule(struct outbox *outbox);

static void on_answer(void *arg, const struct bus_answer *answer)
{
    struct lane *lane = arg;
    if (!answer->last)
        return;
    lane->call = 0;
    if (!answer->error)
        settle(lane, json_object_get(answer->result, "results"));
    else if (answer->error == ERR_TOO_LARGE || answer->error == ERR_INVALID ||
             answer->error == ERR_BAD_FRAME)
        refuse(lane, answer->error);
    else
        requeue(lane);
    schedule(lane->outbox);
}

static void take_batch(struct lane *lane, struct buf *text)
{
    size_t count = 0, bytes = 0, max = lane->alone ? 1 : OUTBOX_ITEMS_MAX;
    struct item **tail = &lane->sent;
    while (lane->first && count < max &&
           (!count || bytes + lane->first->bytes <= OUTBOX_BYTES_MAX)) {
        struct item *item = pop(lane);
        js_add_item(text, item->text, item->bytes);
        bytes += item->bytes;
        count++;
        item->next = NULL;
        *tail = item;
        tail = &item->next;
    }
    if (!lane->first)
        lane->alone = false;
}

/* The envelope with the items as its last member. */
static void write_batch(struct lane *lane, const json_t *envelope, struct buf *text)
{
    buf_init(text, PROTO_BODY_MAX_BYTES);
    js_dump_buf(envelope, text);
    text->len--;
    js_add_key(text, "items");
    buf_add_char(text, '[');
    take_batch(lane, text);
    buf_add_str(text, "]}");
}

static void send_batch(struct lane *lane)
{
    struct outbox *outbox = lane->outbox;
    if (lane->call || !lane->first)
        return;
    json_t *args = outbox->options.envelope(outbox->options.arg, lane->instance);
    if (!args)
        return;
    struct buf text;
    write_batch(lane, args, &text);
    json_decref(args);
    char instance[17];
    bus_instance_format(lane->instance, instance);
    AUTOFREE char *method = lane->instance
                                ? mem_printf("jobs@%s.%s", instance, outbox->options.method)
                                : mem_printf("jobs.%s", outbox->options.method);
    struct bus_request request = {
        .method = method, .text = &text, .timeout_ms = CALL_TIMEOUT_MS, .idempotent = true};
    lane->call = bus_call(outbox->options.bus, request, on_answer, lane);
}

static void flush(void *arg)
{
    struct outbox *outbox = arg;
    outbox->deferred = false;
    if (outbox->dead) {
        free(outbox);
        return;
    }
    for (size_t i = 0; i < LANES; i++)
        if (i > 0 || !loop_timer_active(outbox->retry))
            send_batch(&outbox->lanes[i]);
}

static void schedule(struct outbox *outbox)
{
    if (outbox->deferred)
        return;
    outbox->deferred = true;
    loop_defer(outbox->options.loop, flush, outbox);
}

static void on_retry(void *arg)
{
    schedule(arg);
}

struct outbox *outbox_new(const struct outbox_options *options)
{
    struct outbox *outbox = mem_alloc(sizeof *outbox);
    outbox->options = *options;
    outbox->retry = loop_timer_new(options->loop, on_retry, outbox);
    for (size_t i = 0; i < LANES; i++)
        outbox->lanes[i].outbox = outbox;
    return outbox;
}

void outbox_clear(struct outbox *outbox)
{
    for (size_t i = 0; i < LANES; i++) {
        struct lane *lane = &outbox->lanes[i];
        if (lane->call)
            bus_cancel(outbox->options.bus, lane->call);
        free_items(lane->first);
        free_items(lane->sent);
        *lane = (struct lane){.outbox = outbox};
    }
}

void outbox_destroy(struct outbox **outbox_p)
{
    struct outbox *outbox = *outbox_p;
    if (!outbox)
        return;
    *outbox_p = NULL;
    outbox_clear(outbox);
    loop_timer_destroy(&outbox->retry);
    outbox->dead = true;
    if (!outbox->deferred)
        free(outbox);
}

void outbox_add(struct outbox *outbox, uint64_t instance, uint64_t id, json_t *item)
{
    struct item *entry = mem_alloc(sizeof *entry);
    entry->id = id;
    entry->text = js_dump(item);
    entry->bytes = strlen(entry->text);
    json_decref(item);
    push(lane_for(outbox, instance), entry);
    schedule(outbox);
}
