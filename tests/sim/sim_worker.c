/* What is beyond a worker's loop: the zygote with its own view of the lease, and the processes of
 * runs (services/worker/zygote.h, frames.h). A run says a few events, waits for the record of its
 * tool calls before it acts, and ends in one of the ways in which runs end. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/runs_internal.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_db.h"

enum { FD_FIRST = 1000, PIPES_MAX = 65536, STATUS_KILLED = 9, STATUS_FAILED = 0x100 };

enum plan { PLAN_COMPLETED, PLAN_RETRY, PLAN_FAILED, PLAN_CRASH, PLAN_HANG, PLAN_ASK };

struct sim_run {
    struct sim_run *next; /* of its zygote */
    struct sim_zygote *zygote;
    uint64_t id;
    char *job_id;
    int64_t attempt;
    struct frame_peer *peer; /* the worker's end; NULL: closed */
    bool alive, acts, awaits_record, asks;
    enum plan plan;
    int64_t steps;
    int64_t last_in, last_out; /* messages keep their order */
};

struct sim_zygote {
    struct instance *owner;
    struct zygote_events events;
    int64_t lease_until; /* the owner's clock */
    struct sim_run *runs;
    bool gone;
};

struct frame_peer {
    struct sim_run *run;
    frame_peer_fn *on_frame;
    void *arg;
};

struct zygote { /* the loop's side */
    struct sim_zygote *process;
};

static struct sim_run *pipes[PIPES_MAX];
static size_t pipe_count;
static size_t alive_count;

int __wrap_socketpair(int domain, int type, int protocol, int ends[2]);
int __wrap_socketpair(int domain, int type, int protocol, int ends[2])
{
    (void)domain;
    (void)type;
    (void)protocol;
    struct sim_run *run = sim_new(sizeof *run);
    pipes[pipe_count] = run;
    ends[0] = FD_FIRST + 2 * (int)pipe_count;
    ends[1] = ends[0] + 1;
    pipe_count = (pipe_count + 1) % PIPES_MAX;
    return 0;
}

void sim_worker_begin(void)
{
    pipe_count = alive_count = 0;
}

size_t sim_runs_alive(void)
{
    return alive_count;
}

/* --- frames --- */

struct letter {
    struct sim_run *run;
    char *text; /* NULL: the run has closed its end */
};

static void run_hears(void *arg);

static int64_t in_order(int64_t *last)
{
    int64_t at = sim.now + sim_range(20, 300);
    if (at <= *last)
        at = *last + 1;
    *last = at;
    return at - sim.now;
}

static struct letter *letter_new(struct sim_run *run, const char *text)
{
    struct letter *letter = sim_new(sizeof *letter);
    *letter = (struct letter){run, sim_text(text)};
    return letter;
}

struct frame_peer *frame_peer_new(struct loop *loop, int fd, frame_peer_fn *on_frame, void *arg)
{
    (void)loop;
    struct frame_peer *peer = mem_alloc(sizeof *peer);
    const struct worker_run *told = arg;
    struct sim_run *run = pipes[(fd - FD_FIRST) / 2];
    *peer = (struct frame_peer){run, on_frame, arg};
    run->peer = peer;
    run->job_id = sim_text(told->job_id);
    run->attempt = told->attempt;
    return peer;
}

void frame_peer_destroy(struct frame_peer **peer_p)
{
    struct frame_peer *peer = *peer_p;
    if (!peer)
        return;
    *peer_p = NULL;
    peer->run->peer = NULL;
    sim_at(NULL, in_order(&peer->run->last_in), run_hears, letter_new(peer->run, NULL));
    free(peer);
}

enum err frame_peer_send(struct frame_peer *peer, const json_t *frame)
{
    AUTOFREE char *text = js_dump(frame);
    sim_at(NULL, in_order(&peer->run->last_in), run_hears, letter_new(peer->run, text));
    return ERR_OK;
}

void frame_peer_pause(struct frame_peer *peer, bool paused)
{
    (void)peer;
    (void)paused;
}

static void worker_hears(void *arg)
{
    struct letter *letter = arg;
    struct frame_peer *peer = letter->run->peer;
    if (!peer)
        return;
    AUTOJSON json_t *frame = letter->text ? json_loads(letter->text, 0, NULL) : NULL;
    peer->on_frame(peer->arg, frame);
}

static void say(struct sim_run *run, const char *text)
{
    sim_at(run->zygote->owner, in_order(&run->last_out), worker_hears, letter_new(run, text));
}

/* --- a run --- */

struct ending {
    struct sim_zygote *zygote;
    uint64_t id;
    enum zygote_end end;
    int status;
};

static void tell_end(void *arg)
{
    struct ending *ending = arg;
    struct sim_zygote *zygote = ending->zygote;
    if (!zygote->gone)
        zygote->events.ended(zygote->events.arg, ending->id, ending->end, ending->status);
}

static void stop_acting(struct sim_run *run)
{
    if (run->acts)
        check_run_ends(run->job_id, run->attempt);
    run->acts = false;
}

static void end_run(struct sim_run *run, enum zygote_end end, int status)
{
    if (!run->alive)
        return;
    struct sim_zygote *zygote = run->zygote;
    run->alive = false;
    alive_count--;
    stop_acting(run);
    sim_trace("run %s#%lld is over: %s %d", run->job_id, (long long)run->attempt,
              end == ZYGOTE_RUN_EXPIRED ? "expired" : "ended", status);
    struct sim_run **at = &zygote->runs;
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    say(run, NULL);
    struct ending *ending = sim_new(sizeof *ending);
    *ending = (struct ending){zygote, run->id, end, status};
    sim_at(zygote->owner, sim_range(100, 3 * SIM_MS), tell_end, ending);
}

static void step(void *arg);

static void next_step(struct sim_run *run)
{
    int64_t pause =
        sim_chance(50000) ? sim_range(SIM_SECOND, 8 * SIM_SECOND) : sim_range(SIM_MS, 400 * SIM_MS);
    sim_at(NULL, pause, step, run);
}

static void say_asking(struct sim_run *run)
{
    run->asks = run->awaits_record = true;
    say(run, "{\"t\":\"event\",\"type\":\"waiting_approval\",\"data\":"
             "{\"calls\":[{\"id\":\"c\",\"name\":\"x\"}]},\"ack\":true}");
}

static void say_waiting(struct sim_run *run)
{
    stop_acting(run);
    say(run, "{\"t\":\"done\",\"outcome\":\"waiting\",\"token_usage\":{\"total_tokens\":5}}");
    if (!sim_chance(20000)) /* else it lingers */
        end_run(run, ZYGOTE_RUN_ENDED, 0);
}

static void say_end(struct sim_run *run)
{
    char text[256];
    static const char *const outcomes[] = {"completed", "retry", "failed"};
    stop_acting(run);
    if (run->plan == PLAN_CRASH) {
        end_run(run, ZYGOTE_RUN_ENDED, STATUS_FAILED);
        return;
    }
    snprintf(text, sizeof text,
             "{\"t\":\"done\",\"outcome\":\"%s\",\"%s\":\"%.128s#%lld\",\"token_usage\":{}}",
             outcomes[run->plan], run->plan == PLAN_COMPLETED ? "result" : "error_message",
             run->job_id, (long long)run->attempt);
    say(run, text);
    if (!sim_chance(20000)) /* else it lingers */
        end_run(run, ZYGOTE_RUN_ENDED, 0);
}

static void step(void *arg)
{
    struct sim_run *run = arg;
    if (!run->alive || !run->acts)
        return;
    check_run_acts(run->job_id, run->attempt);
    if (run->plan == PLAN_HANG && run->steps == 0)
        return;
    if (run->steps-- <= 0) {
        if (run->plan == PLAN_ASK)
            say_asking(run);
        else
            say_end(run);
        return;
    }
    run->awaits_record = sim_chance(500000);
    say(run, run->awaits_record
                 ? "{\"t\":\"event\",\"type\":\"tool_call\",\"data\":{\"name\":\"x\"},\"ack\":true}"
                 : "{\"t\":\"event\",\"type\":\"progress\",\"data\":{\"text\":\"y\"}}");
    if (!run->awaits_record)
        next_step(run);
}

static enum plan draw_plan(void)
{
    int64_t n = sim_range(0, 99);
    if (sim_chance(sim.hangs))
        return PLAN_HANG;
    return n < 12   ? PLAN_ASK
           : n < 82 ? PLAN_COMPLETED
           : n < 90 ? PLAN_RETRY
           : n < 95 ? PLAN_FAILED
                    : PLAN_CRASH;
}

static void run_hears(void *arg)
{
    struct letter *letter = arg;
    struct sim_run *run = letter->run;
    if (!run->alive)
        return;
    if (!letter->text) {
        end_run(run, ZYGOTE_RUN_ENDED, STATUS_FAILED);
    } else if (strstr(letter->text, "\"t\":\"job\"")) {
        run->acts = true;
        run->plan = draw_plan();
        run->steps = sim_range(0, 3);
        check_run_begins(run->job_id, run->attempt, run->zygote->owner->name);
        next_step(run);
    } else if (run->awaits_record && run->acts) {
        run->awaits_record = false;
        check_run_acts(run->job_id, run->attempt);
        if (run->asks) {
            say_waiting(run);
            return;
        }
        say(run, "{\"t\":\"event\",\"type\":\"tool_result\",\"data\":{\"name\":\"x\"}}");
        next_step(run);
    }
}

/* --- the zygote --- */

enum err zygote_fork(bool isolate, void (*wipe)(void *arg, bool own_mounts), void *arg,
                     struct zygote **ret_zygote)
{
    (void)isolate;
    (void)wipe;
    (void)arg;
    struct zygote *zygote = mem_alloc(sizeof *zygote);
    zygote->process = sim_new(sizeof *zygote->process);
    zygote->process->owner = sim.current;
    sim.current->zygote = zygote->process;
    *ret_zygote = zygote;
    return ERR_OK;
}

bool zygote_isolated(const struct zygote *zygote, const char **ret_why)
{
    (void)zygote;
    (void)ret_why;
    return true;
}

void zygote_attach(struct zygote *zygote, struct loop *loop, const struct zygote_events *events)
{
    (void)loop;
    zygote->process->events = *events;
}

static void kill_all(struct sim_zygote *zygote, enum zygote_end end)
{
    for (struct sim_run *run = zygote->runs, *next; run; run = next) {
        next = run->next;
        end_run(run, end, STATUS_KILLED);
    }
}

void zygote_destroy(struct zygote **zygote_p)
{
    struct zygote *zygote = *zygote_p;
    if (!zygote)
        return;
    *zygote_p = NULL;
    zygote->process->gone = true;
    kill_all(zygote->process, ZYGOTE_RUN_ENDED);
    free(zygote);
}

static void on_owner_gone(void *arg)
{
    struct sim_zygote *zygote = arg;
    sim_trace("the zygote of %s ends", zygote->owner->name);
    kill_all(zygote, ZYGOTE_RUN_ENDED);
}

void sim_worker_gone(struct instance *instance)
{
    struct sim_zygote *zygote = instance->zygote;
    if (!zygote)
        return;
    zygote->gone = true;
    for (struct sim_run *run = zygote->runs; run; run = run->next)
        run->peer = NULL;
    sim_at(NULL, sim_range(100, 20 * SIM_MS), on_owner_gone, zygote);
}

static void begin(void *arg)
{
    struct sim_run *run = arg;
    struct sim_zygote *zygote = run->zygote;
    if (zygote->gone)
        return;
    run->next = zygote->runs;
    zygote->runs = run;
    run->alive = true;
    alive_count++;
    if (sim_clock_ms(zygote->owner) >= zygote->lease_until)
        end_run(run, ZYGOTE_RUN_EXPIRED, STATUS_FAILED);
}

void zygote_start(struct zygote *zygote, uint64_t id, int fd)
{
    struct sim_run *run = pipes[(fd - FD_FIRST) / 2];
    run->zygote = zygote->process;
    run->id = id;
    sim_at(NULL, in_order(&run->last_in), begin, run);
}

static void kill_one(void *arg)
{
    struct ending *order = arg;
    for (struct sim_run *run = order->zygote->runs; run; run = run->next) {
        if (run->id != order->id)
            continue;
        end_run(run, ZYGOTE_RUN_ENDED, STATUS_KILLED);
        return;
    }
}

void zygote_kill(struct zygote *zygote, uint64_t id)
{
    struct ending *order = sim_new(sizeof *order);
    *order = (struct ending){zygote->process, id, ZYGOTE_RUN_ENDED, STATUS_KILLED};
    sim_at(NULL, sim_range(400, SIM_MS), kill_one, order);
}

static void check_lease(void *arg)
{
    struct sim_zygote *zygote = arg;
    if (!zygote->gone && sim_clock_ms(zygote->owner) >= zygote->lease_until &&
        sim.bug != DB_BUG_NO_SELF_KILL)
        kill_all(zygote, ZYGOTE_RUN_EXPIRED);
}

void zygote_lease(struct zygote *zygote, int64_t until)
{
    int64_t left = until - sim_clock_ms(zygote->process->owner);
    zygote->process->lease_until = until;
    sim_at(NULL, (left > 0 ? left * SIM_MS : 0) + sim_range(0, 10 * SIM_MS), check_lease,
           zygote->process);
}
