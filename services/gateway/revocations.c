#include "services/gateway/revocations.h"

#include <time.h>

#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"

enum {
    POLL_MS = 300,
    FRESH_MS = 900,
    CALL_TIMEOUT_MS = 900,
    USERS_MAX = 1000000,
};

struct revocations {
    struct loop *loop;
    struct bus *bus;
    struct loop_timer *timer;
    struct revocation_list *list;
    void (*changed)(void *arg);
    void *arg;
    int64_t seq;
    int64_t asked_at; /* of the call under way */
    int64_t known_at; /* when the last answer that left nothing out was asked for */
    uint64_t call;
    bool known, again, behind;
};

static void ask(void *arg);

static void next(struct revocations *r, int64_t delay_ms)
{
    if (r->again)
        delay_ms = 0;
    if (delay_ms == 0)
        ask(r);
    else
        loop_timer_start(r->timer, delay_ms);
}

static void note_state(struct revocations *r)
{
    bool fresh = revocations_fresh(r);
    if (fresh == !r->behind)
        return;
    r->behind = !fresh;
    if (r->behind)
        log_warning("revocations_behind", LOG_I("seq", r->seq));
    else
        log_info("revocations_followed", LOG_I("seq", r->seq),
                 LOG_I("users", revocation_list_count(r->list)));
}

static void take_in(struct revocations *r, const json_t *result)
{
    const json_t *items = json_object_get(result, "revoked");
    int64_t seq = js_int(result, "seq", r->seq);
    size_t count = json_array_size(items);
    revocation_list_apply(r->list, items);
    revocation_list_prune(r->list, time(NULL));
    /* A lower number than ours: auth's table was restored; read it from the start. */
    bool more = count > 0 || seq < r->seq;
    r->seq = seq < r->seq ? 0 : seq;
    if (!more) {
        r->known = true;
        r->known_at = r->asked_at;
    }
    if (count > 0)
        r->changed(r->arg);
    note_state(r);
    next(r, more ? 0 : POLL_MS);
}

static void answered(void *arg, const struct bus_answer *answer)
{
    struct revocations *r = arg;
    r->call = 0;
    if (answer->error == ERR_OK) {
        take_in(r, answer->result);
        return;
    }
    note_state(r);
    r->again = false;
    next(r, POLL_MS);
}

static void ask(void *arg)
{
    struct revocations *r = arg;
    r->again = false;
    r->asked_at = loop_now(r->loop);
    loop_timer_stop(r->timer);
    r->call = bus_call(r->bus,
                       (struct bus_request){.method = "auth.revocations",
                                            .args = json_pack("{s:I}", "after", (json_int_t)r->seq),
                                            .timeout_ms = CALL_TIMEOUT_MS,
                                            .idempotent = true},
                       answered, r);
}

struct revocations *revocations_new(struct loop *loop, struct bus *bus, void (*changed)(void *arg),
                                    void *arg)
{
    struct revocations *r = mem_alloc(sizeof(*r));
    r->loop = loop;
    r->bus = bus;
    r->changed = changed;
    r->arg = arg;
    r->behind = true;
    r->list = revocation_list_new(USERS_MAX);
    r->timer = loop_timer_new(loop, ask, r);
    ask(r);
    return r;
}

void revocations_destroy(struct revocations **revocations_p)
{
    struct revocations *r = *revocations_p;
    if (!r)
        return;
    *revocations_p = NULL;
    if (r->call)
        bus_cancel(r->bus, r->call);
    loop_timer_destroy(&r->timer);
    revocation_list_destroy(&r->list);
    free(r);
}

void revocations_hint(struct revocations *r)
{
    if (r->call)
        r->again = true;
    else
        ask(r);
}

bool revocations_fresh(const struct revocations *r)
{
    return r->known && revocation_list_complete(r->list) &&
           loop_now(r->loop) - r->known_at <= FRESH_MS;
}

const struct revocation_list *revocations_list(const struct revocations *r)
{
    return r->list;
}
