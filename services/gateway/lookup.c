#include "services/gateway/lookup.h"

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/js_write.h"
#include "libcommon/mem.h"
#include "services/gateway/gateway.h"
#include "services/gateway/results.h"

enum {
    PACK_ITEMS = 64,
    PACKS_A_REPLICA = 2, /* one is read while the next is on its way */
    REPLICAS_MAX = 64,
    TIMEOUT_MS = 5000,
    SWEEP_MS = 250,
    IDS_MAX_BYTES = 1 << 20,
};

struct lookup {
    struct lookups *lookups;
    lookup_fn *done;
    void *arg;
    int64_t deadline;
    struct lookup **place;      /* in a pack; NULL: not there */
    uint64_t call;              /* of one that is asked for by itself, or 0 */
    struct lookup *prev, *next; /* of those that wait */
    char *user_id;              /* behind job_id */
    char job_id[];
};

struct pack {
    struct lookups *lookups;
    struct lookup *items[PACK_ITEMS]; /* NULL: cancelled */
    size_t count;
    uint64_t call;
    struct pack *prev, *next;
};

struct lookups {
    struct loop *loop;
    struct bus *bus;
    struct lookup *first, *last; /* waiting */
    struct pack *packs;
    unsigned in_flight;
    bool flush_due;
    struct loop_timer *sweep;
};

static void flush(struct lookups *lookups);

static void take_out(struct lookup *lookup)
{
    struct lookups *lookups = lookup->lookups;
    if (lookup->prev)
        lookup->prev->next = lookup->next;
    else
        lookups->first = lookup->next;
    if (lookup->next)
        lookup->next->prev = lookup->prev;
    else
        lookups->last = lookup->prev;
    lookup->prev = lookup->next = NULL;
}

static struct lookup *take_first(struct lookups *lookups)
{
    struct lookup *lookup = lookups->first;
    lookups->first = lookup->next;
    if (lookups->first)
        lookups->first->prev = NULL;
    else
        lookups->last = NULL;
    lookup->next = NULL;
    return lookup;
}

static void finish(struct lookup *lookup, const struct lookup_answer *answer)
{
    lookup_fn *done = lookup->done;
    void *arg = lookup->arg;
    free(lookup);
    done(arg, answer);
}

static void fail(struct lookup *lookup, enum err error, const char *detail, int64_t retry_after_ms)
{
    finish(lookup, &(struct lookup_answer){
                       .error = error, .detail = detail, .retry_after_ms = retry_after_ms});
}

static void answered_alone(void *arg, const struct bus_answer *answer)
{
    struct lookup *lookup = arg;
    if (!answer->last)
        return;
    lookup->call = 0;
    if (answer->error) {
        fail(lookup, answer->error, answer->detail, answer->retry_after_ms);
        return;
    }
    AUTOJSON json_t *job = job_body(answer->result);
    AUTOFREE char *text = js_dump(job);
    finish(lookup, &(struct lookup_answer){.text = text, .len = strlen(text)});
}

static void ask_alone(struct lookup *lookup)
{
    int64_t left = lookup->deadline - loop_now(lookup->lookups->loop);
    struct buf args;
    buf_init(&args, IDS_MAX_BYTES);
    buf_add_char(&args, '{');
    js_add_member(&args, "job_id", lookup->job_id);
    js_add_member(&args, "user_id", lookup->user_id);
    buf_add_char(&args, '}');
    lookup->call =
        bus_call(lookup->lookups->bus,
                 (struct bus_request){
                     .method = "jobs.get", .text = &args, .timeout_ms = left, .idempotent = true},
                 answered_alone, lookup);
}

/* Behind `text`, when that is what comes next; NULL otherwise. */
static const char *after(const char *at, const char *end, const char *text)
{
    size_t len = strlen(text);
    return at && (size_t)(end - at) >= len && memcmp(at, text, len) == 0 ? at + len : NULL;
}

/* In the form that jobs writes: whoever serves the pack can't give one user the job of another. */
static bool is_its_job(const struct lookup *lookup, const char *text, size_t len)
{
    const char *end = text + len;
    const char *at = after(after(text, end, "{\"job_id\":\""), end, lookup->job_id);
    at = after(after(at, end, "\",\"user_id\":\""), end, lookup->user_id);
    return after(at, end, "\",") != NULL;
}

/* What is neither the job, as it is to be passed on, nor the word that there is none goes the way
 * where everything is checked. */
static void give(struct lookup *lookup, const char *text, size_t len)
{
    AUTOJSON json_t *object = NULL;
    if (is_its_job(lookup, text, len)) {
        finish(lookup, &(struct lookup_answer){.text = text, .len = len});
        return;
    }
    enum err error = js_parse(text, len, &object, NULL);
    if (!error && strcmp(js_str(object, "error", ""), err_name(ERR_NOT_FOUND)) == 0)
        fail(lookup, ERR_NOT_FOUND, err_text(ERR_NOT_FOUND), 0);
    else
        ask_alone(lookup);
}

static struct lookup *take_item(struct pack *pack, size_t i)
{
    struct lookup *lookup = pack->items[i];
    pack->items[i] = NULL;
    if (lookup)
        lookup->place = NULL;
    return lookup;
}

static void pack_free(struct pack *pack)
{
    struct lookups *lookups = pack->lookups;
    if (pack->prev)
        pack->prev->next = pack->next;
    else
        lookups->packs = pack->next;
    if (pack->next)
        pack->next->prev = pack->prev;
    lookups->in_flight--;
    free(pack);
}

static void give_all(struct pack *pack, const struct bus_answer *answer)
{
    const char *begins[PACK_ITEMS];
    size_t lens[PACK_ITEMS];
    bool good =
        !answer->error && results_split(answer->text, answer->text_len, pack->count, begins, lens);
    for (size_t i = 0; i < pack->count; i++) {
        struct lookup *lookup = take_item(pack, i);
        if (!lookup)
            continue;
        if (good)
            give(lookup, begins[i], lens[i]);
        else if (!answer->error || answer->error == ERR_NOT_FOUND)
            ask_alone(lookup); /* of another form, or no such method: another version */
        else
            fail(lookup, answer->error, answer->detail, answer->retry_after_ms);
    }
}

static void pack_answered(void *arg, const struct bus_answer *answer)
{
    struct pack *pack = arg;
    struct lookups *lookups = pack->lookups;
    if (!answer->last)
        return;
    give_all(pack, answer);
    pack_free(pack);
    flush(lookups);
}

static void add_texts(struct buf *out, const char *key, const struct pack *pack, bool users)
{
    js_add_key(out, key);
    buf_add_char(out, '[');
    for (size_t i = 0; i < pack->count; i++) {
        const char *text = users ? pack->items[i]->user_id : pack->items[i]->job_id;
        if (i > 0)
            buf_add_char(out, ',');
        js_add_string(out, text, strlen(text));
    }
    buf_add_char(out, ']');
}

static void send_pack(struct lookups *lookups)
{
    struct pack *pack = mem_alloc(sizeof(*pack));
    int64_t left = lookups->first->deadline - loop_now(lookups->loop);
    struct buf args;
    pack->lookups = lookups;
    while (lookups->first && pack->count < PACK_ITEMS) {
        struct lookup *lookup = take_first(lookups);
        lookup->place = &pack->items[pack->count];
        pack->items[pack->count++] = lookup;
    }
    buf_init(&args, IDS_MAX_BYTES);
    buf_add_char(&args, '{');
    add_texts(&args, "ids", pack, false);
    add_texts(&args, "users", pack, true);
    buf_add_char(&args, '}');
    pack->next = lookups->packs;
    if (pack->next)
        pack->next->prev = pack;
    lookups->packs = pack;
    lookups->in_flight++;
    pack->call = bus_call(lookups->bus,
                          (struct bus_request){.method = "jobs.get_many",
                                               .text = &args,
                                               .timeout_ms = left > 0 ? left : 1,
                                               .idempotent = true,
                                               .raw = true},
                          pack_answered, pack);
}

static void flush(struct lookups *lookups)
{
    uint64_t instances[REPLICAS_MAX];
    size_t replicas = bus_peers(lookups->bus, "jobs", instances, REPLICAS_MAX);
    unsigned most = PACKS_A_REPLICA * (unsigned)(replicas ? replicas : 1);
    while (lookups->first && lookups->in_flight < most)
        send_pack(lookups);
}

/* After the sources that were here first, the HTTP server and the bus: all that this pass has read
 * goes together. */
static bool turn(void *arg)
{
    struct lookups *lookups = arg;
    bool due = lookups->flush_due;
    lookups->flush_due = false;
    if (due)
        flush(lookups);
    return due;
}

static void sweep(void *arg)
{
    struct lookups *lookups = arg;
    int64_t now = loop_now(lookups->loop);
    while (lookups->first && lookups->first->deadline <= now)
        fail(take_first(lookups), ERR_TIMEOUT, err_text(ERR_TIMEOUT), 0);
    loop_timer_start(lookups->sweep, SWEEP_MS);
}

struct lookup *lookup_new(struct lookups *lookups, const char *job_id, const char *user_id,
                          lookup_fn *done, void *arg)
{
    size_t job_size = strlen(job_id) + 1, user_size = strlen(user_id) + 1;
    struct lookup *lookup = mem_alloc(sizeof(*lookup) + job_size + user_size);
    lookup->lookups = lookups;
    lookup->done = done;
    lookup->arg = arg;
    lookup->deadline = loop_now(lookups->loop) + TIMEOUT_MS;
    lookup->user_id = lookup->job_id + job_size;
    memcpy(lookup->job_id, job_id, job_size);
    memcpy(lookup->user_id, user_id, user_size);
    lookup->prev = lookups->last;
    if (lookup->prev)
        lookup->prev->next = lookup;
    else
        lookups->first = lookup;
    lookups->last = lookup;
    lookups->flush_due = true;
    return lookup;
}

void lookup_cancel(struct lookup **lookup_p)
{
    struct lookup *lookup = *lookup_p;
    if (!lookup)
        return;
    *lookup_p = NULL;
    if (lookup->place)
        *lookup->place = NULL;
    else if (lookup->call)
        bus_cancel(lookup->lookups->bus, lookup->call);
    else
        take_out(lookup);
    free(lookup);
}

struct lookups *lookups_new(struct loop *loop, struct bus *bus)
{
    struct lookups *lookups = mem_alloc(sizeof(*lookups));
    lookups->loop = loop;
    lookups->bus = bus;
    lookups->sweep = loop_timer_new(loop, sweep, lookups);
    loop_timer_start(lookups->sweep, SWEEP_MS);
    loop_source_add(loop, turn, lookups);
    return lookups;
}

void lookups_destroy(struct lookups **lookups_p)
{
    struct lookups *lookups = *lookups_p;
    if (!lookups)
        return;
    *lookups_p = NULL;
    loop_source_remove(lookups->loop, turn, lookups);
    for (struct pack *pack = lookups->packs, *next; pack; pack = next) {
        next = pack->next;
        bus_cancel(lookups->bus, pack->call);
        pack_free(pack);
    }
    loop_timer_destroy(&lookups->sweep);
    free(lookups);
}
