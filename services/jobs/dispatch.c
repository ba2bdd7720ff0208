/* From the queue to the workers: claims, scans of the store, and the messages that go out, gathered
 * for each turn of the loop. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js_write.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "services/jobs/jobs.h"

enum {
    PEERS_MAX = 1024,
    OUTBOX_MAX_BYTES = 900 * 1024,
    HINTS_MAX = 256,
    SCAN_MIN_MS = 20,
    SCAN_MAX_MS = 1000,
    SCAN_PER_USER = 1000,
    SCAN_MAX = 10000,
    /* The store gives at most a tenth of its time to our scans. */
    SCAN_SHARE = 10,
    /* A scan that waited for a database that was away says nothing of its cost. */
    SCAN_PAUSE_MAX_MS = 10000,
};

/* Runs for one session that leave together. */
struct outbox {
    struct outbox *next;
    char session[65], instance[17];
    struct buf runs; /* JSON objects, behind the head of their message */
};

struct claim {
    struct store_claim item; /* first: the store gives this back */
    struct jobs *jobs;
    char *user_id;
};

static void send_outbox(struct jobs *jobs, struct outbox *outbox)
{
    char method[64];
    snprintf(method, sizeof method, "worker@%s.run", outbox->instance);
    buf_add_str(&outbox->runs, "]}");
    bus_send_text(jobs->bus, method, &outbox->runs);
}

static struct outbox *outbox_get(struct jobs *jobs, const char *session, const char *instance)
{
    struct outbox *outbox = jobs->outboxes;
    while (outbox && strcmp(outbox->session, session) != 0)
        outbox = outbox->next;
    if (outbox)
        return outbox;
    outbox = mem_alloc(sizeof *outbox);
    snprintf(outbox->session, sizeof outbox->session, "%s", session);
    snprintf(outbox->instance, sizeof outbox->instance, "%s", instance);
    buf_init(&outbox->runs, PROTO_BODY_MAX_BYTES);
    outbox->next = jobs->outboxes;
    jobs->outboxes = outbox;
    return outbox;
}

static void begin_runs(struct jobs *jobs, struct outbox *outbox)
{
    struct buf *text = &outbox->runs;
    buf_add_char(text, '{');
    js_add_member(text, "session", outbox->session);
    js_add_member(text, "from", bus_instance_text(jobs->bus));
    js_add_key(text, "runs");
    buf_add_char(text, '[');
}

static void add_json(struct buf *text, const char *key, const char *json)
{
    if (!json)
        return;
    js_add_key(text, key);
    buf_add_str(text, json);
}

static void write_run(struct buf *text, const struct store_run *run, int64_t ordinal)
{
    buf_add_char(text, '{');
    js_add_member(text, "job_id", run->job_id);
    js_add_member_int(text, "attempt", run->attempt);
    js_add_member(text, "user_id", run->user_id);
    js_add_member(text, "message", run->message);
    js_add_member_int(text, "events", run->events);
    js_add_member_int(text, "ordinal", ordinal);
    js_add_member(text, "created_at", run->created_at);
    js_add_member_int(text, "time_ms", run->time_ms);
    if (run->conversation_id)
        js_add_member(text, "conversation_id", run->conversation_id);
    add_json(text, "options", run->options);
    add_json(text, "usage", run->usage);
    origin_write(&run->origin, text);
    buf_add_char(text, '}');
}

void dispatch_run(struct jobs *jobs, const struct store_run *run, int64_t ordinal)
{
    struct outbox *outbox = outbox_get(jobs, run->session, run->instance);
    struct buf *item = &jobs->run_text;
    buf_reset(item);
    write_run(item, run, ordinal);
    /* As JSON: a text of control characters grows sixfold, and a message that is too large for the
     * bus would be dropped each time that it is sent. */
    if (outbox->runs.len && outbox->runs.len + item->len + 2 > OUTBOX_MAX_BYTES)
        send_outbox(jobs, outbox);
    if (!outbox->runs.len)
        begin_runs(jobs, outbox);
    js_add_item(&outbox->runs, buf_text(item), item->len);
}

static bool flush_outboxes(struct jobs *jobs)
{
    bool did = jobs->outboxes != NULL;
    while (jobs->outboxes) {
        struct outbox *outbox = jobs->outboxes;
        jobs->outboxes = outbox->next;
        if (outbox->runs.len)
            send_outbox(jobs, outbox);
        buf_fini(&outbox->runs);
        free(outbox);
    }
    return did;
}

static bool flush_hints(struct jobs *jobs)
{
    if (!jobs->hint_count)
        return false;
    buf_add_str(&jobs->hints, "]}");
    bus_send_text(jobs->bus, "gateway@*.jobs_changed", &jobs->hints);
    jobs->hint_count = 0;
    return true;
}

void dispatch_hint(struct jobs *jobs, const char *job_id)
{
    if (!jobs->hint_count++)
        buf_add_str(&jobs->hints, "{\"ids\":[");
    else
        buf_add_char(&jobs->hints, ',');
    js_add_string(&jobs->hints, job_id, strlen(job_id));
    if (jobs->hint_count >= HINTS_MAX)
        flush_hints(jobs);
}

static void send_cancel(struct jobs *jobs, const struct store_change *change)
{
    char method[64];
    snprintf(method, sizeof method, "worker@%s.cancel", change->instance);
    bus_send_every_way(jobs->bus, method,
                       json_pack("{s:[{s:s, s:I}]}", "jobs", "job_id", change->job_id, "attempt",
                                 (json_int_t)change->attempt));
}

void dispatch_changes(struct jobs *jobs, const struct store_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct store_change *change = &changes[i];
        if (change->instance)
            send_cancel(jobs, change);
        if (change->queued)
            dispatch_queued(jobs, change->job_id, change->user_id);
        dispatch_hint(jobs, change->job_id);
    }
}

void dispatch_queued(struct jobs *jobs, const char *job_id, const char *user_id)
{
    if (fair_queue_push(jobs->queue, job_id, user_id) == FAIR_QUEUE_FULL)
        jobs->overflow = true;
}

static void count_claimed(void)
{
    static struct metric *metric;
    if (!metric)
        metric = metric_counter("mcpbus_jobs_claimed_total", NULL, "Queued jobs claimed.");
    metric_add(metric, 1);
}

static void on_claimed(struct store_claim *item)
{
    struct claim *claim = (struct claim *)item;
    struct jobs *jobs = claim->jobs;
    jobs->claiming--;
    struct slot *slot = slots_find(jobs->slots, item->session);
    if (!item->error && slot) {
        struct store_run run = {
            .job_id = item->job_id,
            .user_id = item->user_id,
            .message = item->message,
            .created_at = item->created_at,
            .session = slot->session,
            .instance = slot->instance,
            .attempt = item->attempt,
            .events = item->events,
            .time_ms = jobs->settings->job_timeout * 1000,
            .options = item->options,
            .conversation_id = item->conversation_id,
            .usage = item->usage,
            .origin = item->origin,
        };
        origin_log(&item->origin, "job_claimed", item->job_id, item->attempt);
        if (item->attempt == 1)
            origin_waited(&item->origin, item->job_id, item->created_at);
        dispatch_run(jobs, &run, slots_sent(slot, loop_now(jobs->loop)));
    } else if (slot) {
        slots_unreserve(slot);
    }
    if (!item->error) {
        count_claimed();
        dispatch_hint(jobs, item->job_id);
    } else if (item->error != ERR_NOT_FOUND) {
        dispatch_queued(jobs, item->job_id, claim->user_id);
    }
    free(claim->user_id);
    free(claim);
}

static bool claim_next(struct jobs *jobs)
{
    struct slot *slot = slots_reserve(jobs->slots);
    if (!slot)
        return false;
    AUTOFREE char *job_id = NULL;
    struct claim *claim = mem_alloc(sizeof *claim);
    claim->jobs = jobs;
    claim->item.done = on_claimed;
    if (!fair_queue_pop(jobs->queue, &job_id, &claim->user_id)) {
        slots_unreserve(slot);
        free(claim);
        return false;
    }
    snprintf(claim->item.job_id, sizeof claim->item.job_id, "%s", job_id);
    snprintf(claim->item.session, sizeof claim->item.session, "%s", slot->session);
    if (store_claim(jobs->store, &claim->item)) {
        slots_unreserve(slot);
        dispatch_queued(jobs, job_id, claim->user_id);
        free(claim->user_id);
        free(claim);
        return false;
    }
    jobs->claiming++;
    return true;
}

static void on_scanned(void *arg, enum err error, const struct store_change *changes, size_t count)
{
    struct jobs *jobs = arg;
    size_t found = 0;
    jobs->scanning = false;
    for (size_t i = 0; i < count; i++) {
        /* A legacy id may be longer than ours. */
        if (strlen(changes[i].job_id) > STORE_ID_MAX)
            continue;
        if (fair_queue_push(jobs->queue, changes[i].job_id, changes[i].user_id) ==
            FAIR_QUEUE_PUSHED)
            found++;
    }
    if (!error && count < SCAN_MAX)
        jobs->overflow = false;
    jobs->scan_backoff = found ? SCAN_MIN_MS : jobs->scan_backoff * 2;
    if (jobs->scan_backoff > SCAN_MAX_MS)
        jobs->scan_backoff = SCAN_MAX_MS;
    int64_t now = loop_now(jobs->loop), pause = error ? 0 : SCAN_SHARE * (now - jobs->scan_began);
    if (pause > SCAN_PAUSE_MAX_MS)
        pause = SCAN_PAUSE_MAX_MS;
    if (pause < jobs->scan_backoff)
        pause = jobs->scan_backoff;
    jobs->scan_next = now + pause;
    loop_timer_start(jobs->scan_timer, pause);
}

/* With free slots and nothing here the store may know more: of another replica, of before a
 * restart, or due again after a failure. Users whom only the store knows get their turn by the slow
 * scan. */
static void on_scan(void *arg)
{
    struct jobs *jobs = arg;
    int64_t now = loop_now(jobs->loop), late = jobs->scan_next + SCAN_MAX_MS;
    bool idle = fair_queue_count(jobs->queue) == 0 && jobs->claiming == 0;
    bool wanted = (idle && slots_free(jobs->slots) > 0) || now >= late;
    if (jobs->scanning)
        return;
    if (jobs->draining || !wanted || now < jobs->scan_next || !store_ready(jobs->store)) {
        loop_timer_start(jobs->scan_timer, SCAN_MIN_MS * INT64_C(5));
        return;
    }
    jobs->scanning = true;
    jobs->scan_began = now;
    store_scan(jobs->store, SCAN_PER_USER, SCAN_MAX, on_scanned, jobs);
}

void dispatch_wake(struct jobs *jobs)
{
    if (!jobs->scanning && fair_queue_count(jobs->queue) == 0 &&
        loop_now(jobs->loop) >= jobs->scan_next)
        loop_timer_start(jobs->scan_timer, 0);
}

static bool turn(void *arg)
{
    struct jobs *jobs = arg;
    bool did = false;
    if (!jobs->draining && store_ready(jobs->store))
        while (fair_queue_count(jobs->queue) > 0 && claim_next(jobs))
            did = true;
    did |= flush_outboxes(jobs);
    did |= flush_hints(jobs);
    return did;
}

/* No more runs for a worker that no broker knows; one that is only out of reach offers again. */
static void on_peers(void *arg)
{
    struct jobs *jobs = arg;
    uint64_t peers[PEERS_MAX];
    size_t count = bus_peers(jobs->bus, "worker", peers, PEERS_MAX);
    char names[PEERS_MAX][17];
    for (size_t i = 0; i < count && i < PEERS_MAX; i++)
        bus_instance_format(peers[i], names[i]);
    if (count < PEERS_MAX)
        slots_keep(jobs->slots, names, count);
}

void dispatch_init(struct jobs *jobs)
{
    bus_on_peers(jobs->bus, on_peers, jobs);
    buf_init(&jobs->hints, PROTO_BODY_MAX_BYTES);
    buf_init(&jobs->run_text, PROTO_BODY_MAX_BYTES);
    jobs->scan_backoff = SCAN_MIN_MS;
    jobs->scan_timer = loop_timer_new(jobs->loop, on_scan, jobs);
    loop_timer_start(jobs->scan_timer, SCAN_MIN_MS);
    loop_source_add(jobs->loop, turn, jobs);
}

void dispatch_fini(struct jobs *jobs)
{
    bus_on_peers(jobs->bus, NULL, NULL);
    flush_outboxes(jobs);
    flush_hints(jobs);
    loop_source_remove(jobs->loop, turn, jobs);
    loop_timer_destroy(&jobs->scan_timer);
    buf_fini(&jobs->hints);
    buf_fini(&jobs->run_text);
}
