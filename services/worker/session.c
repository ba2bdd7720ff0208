#include "services/worker/session.h"

#include <string.h>
#include <unistd.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/clock.h"

enum {
    RENEW_MS = 2000,
    CALL_TIMEOUT_MS = 2000,
    OPEN_RETRY_MS = 500,
    TICK_MS = 100,
    MARGIN_MS = 2000, /* between the end of the runs and the end of the lease */
    LEASE_MIN_MS = 4000,
    LEASE_MAX_MS = 60000,
    OFFER_MS = 1000,
    CLOSE_TIMEOUT_MS = 1500,
    REPLICAS_MAX = 64,
};

enum state { STATE_NONE, STATE_OPENING, STATE_HELD, STATE_CLOSING, STATE_CLOSED };

struct replica {
    uint64_t instance;
    int64_t received;
};

struct session {
    struct session_options options;
    enum state state;
    char id[CRYPTO_UUID_SIZE];
    int64_t until;   /* when all runs must have ended */
    int64_t sent_at; /* of the call under way, or the last one */
    int64_t next_at; /* of the next renewal or attempt to open */
    int64_t offered_at;
    uint64_t call;
    struct replica replicas[REPLICAS_MAX];
    size_t replica_count;
    struct loop_timer *tick;
    bool deferred, dead;
    /* Told with each renewal once there was something to tell; `told`: what the last one said. */
    bool draining, told, has_drained;
};

static void begin(struct session *session, const char *method, json_t *args, int64_t timeout_ms,
                  bus_answer_fn *done)
{
    struct bus_request request = {
        .method = method, .args = args, .timeout_ms = timeout_ms, .idempotent = true};
    session->sent_at = clock_ms();
    session->call = bus_call(session->options.bus, request, done, session);
}

/* A lease of `lease_ms` since the call was sent: it began no earlier than that. */
static void extend(struct session *session, int64_t lease_ms)
{
    if (lease_ms > LEASE_MAX_MS)
        lease_ms = LEASE_MAX_MS;
    if (lease_ms < LEASE_MIN_MS)
        lease_ms = LEASE_MIN_MS;
    session->until = session->sent_at + lease_ms - MARGIN_MS;
    session->next_at = session->sent_at + RENEW_MS;
    session->options.leased(session->options.arg, session->until);
}

static void on_opened(void *arg, const struct bus_answer *answer)
{
    struct session *session = arg;
    session->call = 0;
    if (answer->error) {
        log_debug("session_not_opened", LOG_S("error", answer->detail));
        session->state = STATE_NONE;
        session->next_at = clock_ms() + OPEN_RETRY_MS;
        return;
    }
    session->state = STATE_HELD;
    session->told = false;
    extend(session, js_int(answer->result, "lease_ms", 0));
    log_info("session_opened", LOG_S("session", session->id));
    session_slots_changed(session);
}

/* A new id each time: an attempt whose outcome is unknown may have begun a lease of its own. */
static void open_session(struct session *session)
{
    char host[256] = "";
    crypto_uuid4(session->id);
    gethostname(host, sizeof host - 1);
    session->state = STATE_OPENING;
    session->replica_count = 0;
    begin(session, "jobs.session_open",
          json_pack("{s:s, s:s, s:s, s:s, s:I}", "session", session->id, "instance",
                    bus_instance_text(session->options.bus), "host", host, "version",
                    MCPBUS_VERSION, "capacity", (json_int_t)session->options.capacity),
          CALL_TIMEOUT_MS, on_opened);
}

static void lose(struct session *session, const char *why)
{
    log_warning("session_lost", LOG_S("session", session->id), LOG_S("why", why));
    if (session->call)
        bus_cancel(session->options.bus, session->call);
    session->call = 0;
    session->state = STATE_NONE;
    session->next_at = clock_ms();
    session->options.lost(session->options.arg);
}

static void on_renewed(void *arg, const struct bus_answer *answer)
{
    struct session *session = arg;
    session->call = 0;
    if (answer->error == ERR_STALE_TOKEN) {
        lose(session, "the store says that the lease has run out");
        return;
    }
    if (answer->error) {
        log_warning("session_not_renewed", LOG_S("error", answer->detail));
        session->next_at = clock_ms() + OPEN_RETRY_MS;
        return;
    }
    if (clock_ms() >= session->until)
        return; /* the tick ends it: the runs were ended by the zygote already */
    int64_t sent_at = session->sent_at;
    extend(session, js_int(answer->result, "lease_ms", 0));
    session->options.renewed(session->options.arg, json_object_get(answer->result, "held"),
                             sent_at);
}

static void renew(struct session *session)
{
    json_t *args = json_pack("{s:s, s:o}", "session", session->id, "held",
                             session->options.held(session->options.arg));
    if (session->has_drained)
        json_object_set_new(args, "draining", json_boolean(session->draining));
    session->told = session->draining;
    begin(session, "jobs.session_renew", args, CALL_TIMEOUT_MS, on_renewed);
}

static bool renewal_is_due(const struct session *session, int64_t now)
{
    return session->state == STATE_HELD && !session->call &&
           (now >= session->next_at || session->told != session->draining);
}

static void send_offers(struct session *session)
{
    uint64_t peers[REPLICAS_MAX];
    size_t count = bus_peers(session->options.bus, "jobs", peers, REPLICAS_MAX);
    session->offered_at = clock_ms();
    for (size_t i = 0; i < count && i < REPLICAS_MAX; i++) {
        char instance[17];
        json_t *offer = session_offer(session, peers[i]);
        bus_instance_format(peers[i], instance);
        AUTOFREE char *method = mem_printf("jobs@%s.offer", instance);
        if (offer)
            bus_send(session->options.bus, method, offer);
    }
}

static void on_tick(void *arg)
{
    struct session *session = arg;
    int64_t now = clock_ms();
    loop_timer_start(session->tick, TICK_MS);
    if (session->state == STATE_HELD && now >= session->until)
        lose(session, "it could not be renewed in time");
    else if (session->state == STATE_NONE && now >= session->next_at)
        open_session(session);
    else if (renewal_is_due(session, now))
        renew(session);
    if (session->state == STATE_HELD && now >= session->offered_at + OFFER_MS)
        send_offers(session);
}

static void on_peers(void *arg)
{
    session_slots_changed(arg);
}

struct session *session_new(const struct session_options *options)
{
    struct session *session = mem_alloc(sizeof *session);
    session->options = *options;
    session->tick = loop_timer_new(options->loop, on_tick, session);
    loop_timer_start(session->tick, 1);
    bus_on_peers(options->bus, on_peers, session);
    return session;
}

void session_destroy(struct session **session_p)
{
    struct session *session = *session_p;
    if (!session)
        return;
    *session_p = NULL;
    bus_on_peers(session->options.bus, NULL, NULL);
    if (session->call)
        bus_cancel(session->options.bus, session->call);
    loop_timer_destroy(&session->tick);
    session->dead = true;
    if (!session->deferred)
        free(session);
}

const char *session_id(const struct session *session)
{
    return session->state == STATE_HELD && clock_ms() < session->until ? session->id : NULL;
}

static struct replica *find_replica(struct session *session, uint64_t instance)
{
    for (size_t i = 0; i < session->replica_count; i++)
        if (session->replicas[i].instance == instance)
            return &session->replicas[i];
    return NULL;
}

void session_received(struct session *session, uint64_t from, int64_t ordinal)
{
    struct replica *replica = find_replica(session, from);
    if (!replica) {
        /* Replicas come and go with their instances; the oldest is most likely gone. */
        if (session->replica_count == REPLICAS_MAX)
            memmove(session->replicas, session->replicas + 1,
                    --session->replica_count * sizeof *session->replicas);
        replica = &session->replicas[session->replica_count++];
        *replica = (struct replica){.instance = from};
    }
    if (ordinal > replica->received)
        replica->received = ordinal;
}

static void send_deferred(void *arg)
{
    struct session *session = arg;
    session->deferred = false;
    if (session->dead)
        free(session);
    else if (session->state == STATE_HELD)
        send_offers(session);
}

void session_slots_changed(struct session *session)
{
    if (session->deferred)
        return;
    session->deferred = true;
    loop_defer(session->options.loop, send_deferred, session);
}

void session_set_draining(struct session *session, bool draining)
{
    session->draining = draining;
    session->has_drained |= draining;
    session_slots_changed(session);
}

bool session_is_draining(const struct session *session)
{
    return session->draining;
}

json_t *session_offer(struct session *session, uint64_t instance)
{
    uint64_t peers[REPLICAS_MAX];
    if (session->state != STATE_HELD)
        return NULL;
    size_t count = bus_peers(session->options.bus, "jobs", peers, REPLICAS_MAX);
    unsigned slots = session->draining ? 0 : session->options.free_slots(session->options.arg);
    unsigned share = count ? slots / (unsigned)count : slots;
    const struct replica *replica = find_replica(session, instance);
    return json_pack("{s:s, s:s, s:I, s:I}", "session", session->id, "instance",
                     bus_instance_text(session->options.bus), "received",
                     (json_int_t)(replica ? replica->received : 0), "slots",
                     (json_int_t)(slots && !share ? 1 : share));
}

static void on_closed(void *arg, const struct bus_answer *answer)
{
    struct session *session = arg;
    (void)answer;
    session->call = 0;
    session->state = STATE_CLOSED;
}

void session_close(struct session *session)
{
    enum state state = session->state;
    if (state == STATE_CLOSING || state == STATE_CLOSED)
        return;
    if (session->call)
        bus_cancel(session->options.bus, session->call);
    session->call = 0;
    session->state = STATE_CLOSED;
    if (state == STATE_NONE)
        return;
    session->state = STATE_CLOSING;
    begin(session, "jobs.session_close", json_pack("{s:s}", "session", session->id),
          CLOSE_TIMEOUT_MS, on_closed);
}

bool session_closed(const struct session *session)
{
    return session->state == STATE_CLOSED;
}
