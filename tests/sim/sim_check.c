/* What must hold at every step, looked at from outside: the tables, the runs, the answers. */
#include <stdio.h>
#include <string.h>

#include "libcommon/map.h"
#include "services/jobs/jobs.h"
#include "services/settings.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_clients.h"
#include "tests/sim/sim_db.h"

enum {
    CANCEL_US = SIM_SECOND,             /* with nothing in the way */
    CANCEL_FAULTY_US = 12 * SIM_SECOND, /* a lease, at most */
    IDLE_BYTES = 256 * 1024,
    PROGRESS_US = 12 * SIM_SECOND,
};

/* An attempt that may act now. */
struct acting {
    struct acting *next;
    char *job_id;
    int64_t attempt, cancelled_at;
};

struct accepted {
    char *job_id, *user_id, *key;
};

static struct {
    struct acting *acting;
    struct accepted *accepted;
    struct acting *begun; /* the last attempt of each job that began to act */
    size_t accepted_count, accepted_room;
    struct db_job before;
    char session_before[STORE_ID_MAX + 1];
    const char *first_waits; /* a user whose first job must not wait for another's thousand */
    int64_t others_before, claimed_at, changed_at, full_at, calm_since;
} check;

static void on_before(struct db_job *job)
{
    check.before = *job;
    snprintf(check.session_before, sizeof check.session_before, "%s",
             job->session ? job->session : "");
}

static bool has_ended(const struct db_job *job)
{
    return strcmp(job->status, "pending") != 0;
}

static void check_runs_elsewhere(const struct db_job *job, const char *statement)
{
    for (const struct acting *acting = check.acting; acting; acting = acting->next)
        if (!strcmp(acting->job_id, job->id) && acting->attempt < job->attempt)
            sim_fail("%s begins attempt %lld of %s while attempt %lld may act", statement,
                     (long long)job->attempt, job->id, (long long)acting->attempt);
}

static void check_claimed(const struct db_job *job, const char *statement)
{
    SIM_CHECK(job->session, "%s of %s without a session", statement, job->id);
    check_runs_elsewhere(job, statement);
    check.claimed_at = sim.now;
    if (!check.first_waits)
        return;
    if (!strcmp(job->user_id, check.first_waits))
        check.first_waits = NULL;
    else
        check.others_before++;
}

static void on_cancelled(const struct db_job *job)
{
    for (struct acting *acting = check.acting; acting; acting = acting->next)
        if (!strcmp(acting->job_id, job->id) && !acting->cancelled_at)
            acting->cancelled_at = sim.now;
}

/* A result is that of the attempt which the row names. */
static void check_result(const struct db_job *job)
{
    char wanted[STORE_ID_MAX + 32];
    if (strcmp(job->status, "completed") != 0)
        return;
    if (sim.echo)
        snprintf(wanted, sizeof wanted, "echo: %.120s", job->message);
    else
        snprintf(wanted, sizeof wanted, "%s#%lld", job->id, (long long)job->attempts);
    SIM_CHECK(job->result && !strcmp(job->result, wanted), "%s has the result of another: %s",
              job->id, job->result ? job->result : "(none)");
}

/* Whether trouble left an attempt enough of its time to be told to its worker after all. */
static bool had_calm(const struct db_job *job)
{
    if (!sim.faulty)
        return true;
    int64_t from = sim_db_now() - (sim.now - check.calm_since);
    if (from < job->claimed_at)
        from = job->claimed_at;
    return check.calm_since && job->deadline - from > PROGRESS_US;
}

static bool is_too_late(const struct db_job *job, const char *statement)
{
    const char *why = job->error_message ? job->error_message : "";
    if (job->queued || strcmp(job->status, "failed") != 0)
        return false;
    if (!strcmp(statement, "reap"))
        return !strcmp(why, "The job timed out.") && had_calm(&check.before);
    return !strncmp(why, "The run was stopped after ", 26);
}

/* An attempt that is given up as too late, by the store or its worker, had begun: else nothing was
 * done for it all the time. */
static void check_late(const struct db_job *job, const char *statement)
{
    if (sim.echo || !is_too_late(job, statement))
        return;
    for (const struct acting *begun = check.begun; begun; begun = begun->next)
        if (begun->attempt == job->attempt && !strcmp(begun->job_id, job->id))
            return;
    sim_fail("%s#%lld timed out and never began", job->id, (long long)job->attempt);
}

/* Only what waits is decided, once for each time that it was asked for; and to wait costs nothing.
 */
static void check_waiting(const struct db_job *job, const char *statement)
{
    const struct db_job *before = &check.before;
    const char *why = job->error_message ? job->error_message : "";
    bool parks = !strcmp(statement, "park"), decides = !strcmp(statement, "decide");
    SIM_CHECK(parks == (job->queued && job->state == 2), "%s: %s waits for approval", statement,
              job->id);
    if (parks)
        SIM_CHECK(job->stored_count && !job->session &&
                      !strcmp(job->stored[job->stored_count - 1].type, "waiting_approval"),
                  "%s waits for approval that was not asked for", job->id);
    if (decides)
        SIM_CHECK(before->state == 2 && job->state == 0 &&
                      job->last_event == before->last_event + 1,
                  "%s was decided, in state %d", job->id, before->state);
    if (parks || decides)
        SIM_CHECK(job->failures == before->failures && job->losses == before->losses,
                  "%s of %s is counted", statement, job->id);
    if (!strncmp(why, "Nobody approved", 15))
        SIM_CHECK(before->state == 2 && before->deadline < sim_db_now(), "%s waited too short",
                  job->id);
}

static void on_after(struct db_job *job, const char *statement, int64_t attempt)
{
    const struct db_job *before = &check.before;
    bool fresh = !strcmp(statement, "submit");
    check.changed_at = sim.now;
    sim_trace("%s %s: %s state %d attempt %lld events %lld", statement, job->id,
              job->queued ? "queued" : job->status, job->state, (long long)job->attempt,
              (long long)job->last_event);
    SIM_CHECK(job->queued == !has_ended(job), "%s: %s is %s and %s the queue", statement, job->id,
              job->status, job->queued ? "in" : "not in");
    if (fresh && check.first_waits && !strcmp(job->user_id, check.first_waits))
        check.others_before = 0; /* from here on it waits */
    if (job->queued && job->state == 1 && (fresh || before->state == 0))
        check_claimed(job, statement);
    if (fresh)
        return;
    SIM_CHECK(!has_ended(before), "%s changes %s, which has ended", statement, job->id);
    SIM_CHECK(job->attempt >= before->attempt && job->last_event >= before->last_event,
              "%s: a counter of %s falls", statement, job->id);
    SIM_CHECK((job->attempt > before->attempt) == (before->state == 0 && job->state == 1),
              "%s: attempt %lld of %s is not a claim's", statement, (long long)job->attempt,
              job->id);
    if (attempt)
        SIM_CHECK(before->queued && before->state == 1 && before->attempt == attempt,
                  "%s by the stale attempt %lld of %s", statement, (long long)attempt, job->id);
    if (!strcmp(statement, "cancel"))
        on_cancelled(job);
    check_waiting(job, statement);
    check_result(job);
    check_late(job, statement);
}

static void on_renewing(int64_t lease_until, int64_t clock)
{
    SIM_CHECK(lease_until > clock, "a lease is renewed that ran out %lld ms before",
              (long long)(clock - lease_until) / 1000);
}

void check_begin(void)
{
    memset(&check, 0, sizeof check);
    sim_db()->before = on_before;
    sim_db()->after = on_after;
    sim_db()->renewing = on_renewing;
}

static struct accepted *accepted_key(const char *user_id, const char *key)
{
    for (size_t i = 0; key && i < check.accepted_count; i++)
        if (check.accepted[i].key && !strcmp(check.accepted[i].key, key) &&
            !strcmp(check.accepted[i].user_id, user_id))
            return &check.accepted[i];
    return NULL;
}

void check_accepted(const char *job_id, const char *user_id, const char *key)
{
    const struct accepted *same = accepted_key(user_id, key);
    SIM_CHECK(db_find(sim_db(), job_id), "%s was accepted and is not there", job_id);
    SIM_CHECK(!same || !strcmp(same->job_id, job_id), "key %s gave %s and %s", key,
              same ? same->job_id : "", job_id);
    if (check.accepted_count == check.accepted_room) {
        check.accepted_room = check.accepted_room ? check.accepted_room * 2 : 64;
        struct accepted *list = sim_new(check.accepted_room * sizeof *list);
        if (check.accepted_count)
            memcpy(list, check.accepted, check.accepted_count * sizeof *list);
        check.accepted = list;
    }
    check.accepted[check.accepted_count++] =
        (struct accepted){sim_text(job_id), sim_text(user_id), sim_text(key)};
}

void check_first_waits(const char *user_id)
{
    check.first_waits = user_id;
    check.others_before = 0;
}

int64_t check_others_before(void)
{
    return check.others_before;
}

int64_t check_last_change(void)
{
    return check.changed_at;
}

static struct acting *find(const char *job_id, int64_t attempt)
{
    struct acting *acting = check.acting;
    while (acting && (strcmp(acting->job_id, job_id) != 0 || acting->attempt != attempt))
        acting = acting->next;
    return acting;
}

void check_run_begins(const char *job_id, int64_t attempt, const char *where)
{
    sim_trace("run %s#%lld begins in %s", job_id, (long long)attempt, where);
    for (struct acting *other = check.acting; other; other = other->next)
        if (!strcmp(other->job_id, job_id))
            sim_fail("%s runs twice at once: attempts %lld and %lld", job_id,
                     (long long)other->attempt, (long long)attempt);
    const struct db_job *job = db_find(sim_db(), job_id);
    SIM_CHECK(job, "a run of %s, which is no job", job_id);
    struct acting *acting = sim_new(sizeof *acting);
    *acting = (struct acting){check.acting, sim_text(job_id), attempt, 0};
    struct acting *begun = sim_new(sizeof *begun);
    *begun = *acting;
    begun->next = check.begun;
    check.begun = begun;
    if (job && !job->queued)
        acting->cancelled_at = sim.now;
    check.acting = acting;
}

static void check_cancelled(const struct acting *acting)
{
    int64_t most = sim.faulty ? CANCEL_FAULTY_US : CANCEL_US;
    if (acting->cancelled_at && sim.now - acting->cancelled_at > most)
        sim_fail("%s#%lld still runs %lld ms after it was cancelled", acting->job_id,
                 (long long)acting->attempt, (long long)(sim.now - acting->cancelled_at) / SIM_MS);
}

void check_run_acts(const char *job_id, int64_t attempt)
{
    const struct acting *acting = find(job_id, attempt);
    const struct db_job *job = db_find(sim_db(), job_id);
    SIM_CHECK(acting, "%s#%lld acts and has not begun", job_id, (long long)attempt);
    SIM_CHECK(!job || !job->queued || job->attempt == attempt,
              "%s#%lld acts, the store is at attempt %lld", job_id, (long long)attempt,
              job ? (long long)job->attempt : 0);
    if (acting)
        check_cancelled(acting);
}

void check_run_ends(const char *job_id, int64_t attempt)
{
    for (struct acting **at = &check.acting; *at; at = &(*at)->next) {
        struct acting *acting = *at;
        if (acting->attempt != attempt || strcmp(acting->job_id, job_id) != 0)
            continue;
        check_cancelled(acting);
        *at = acting->next;
        return;
    }
}

/* --- when nothing breaks any more: what is due is done within seconds --- */

static int64_t capacity(void)
{
    int64_t total = 0;
    for (size_t i = 0; i < sim.instance_count; i++)
        if (sim.instances[i]->alive && sim.instances[i]->role == SIM_WORKER)
            total += sim.settings->worker_concurrency;
    return total;
}

void check_progress(int64_t calm_since)
{
    const struct db *db = sim_db();
    int64_t queued, running, most = sim_db_now() - PROGRESS_US;
    db_counts(db, &queued, &running);
    check.calm_since = calm_since;
    if (running >= capacity())
        check.full_at = sim.now;
    bool was_free = check.full_at < sim.now - PROGRESS_US; /* all the time, as far as was seen */
    for (size_t i = 0; i < db->job_count && sim.now - calm_since > PROGRESS_US; i++) {
        const struct db_job *job = db->jobs[i];
        if (!job->queued)
            continue;
        if (job->state == 0)
            SIM_CHECK(job->run_at > most || check.claimed_at > sim.now - PROGRESS_US || !was_free,
                      "%s waits and workers are free", job->id);
        for (size_t n = 0; job->state == 1 && n < db->session_count; n++)
            SIM_CHECK(strcmp(db->sessions[n]->session, job->session) != 0 ||
                          db->sessions[n]->lease_until > most,
                      "%s stays with a dead session", job->id);
    }
}

/* --- at the end --- */

static int64_t free_slots_wanted(void)
{
    int64_t total = 0, replicas = 0;
    for (size_t i = 0; i < sim.instance_count; i++)
        replicas += sim.instances[i]->alive && sim.instances[i]->role == SIM_JOBS;
    for (size_t i = 0; i < sim.instance_count; i++)
        if (sim.instances[i]->alive && sim.instances[i]->role == SIM_WORKER)
            total += sim.settings->worker_concurrency / replicas
                         ? sim.settings->worker_concurrency / replicas
                         : 1;
    return total;
}

static void check_jobs_idle(const struct instance *instance)
{
    const struct jobs *jobs = instance->service.state;
    const char *name = instance->name;
    SIM_CHECK(fair_queue_count(jobs->queue) == 0, "%s: %zu jobs are left in memory", name,
              fair_queue_count(jobs->queue));
    for (size_t i = 0; i < check.accepted_count; i++)
        SIM_CHECK(fair_queue_user_count(jobs->queue, check.accepted[i].user_id) == 0,
                  "%s: jobs are held for %s", name, check.accepted[i].user_id);
    SIM_CHECK(jobs->claiming == 0, "%s: %zu claims are left", name, jobs->claiming);
    SIM_CHECK(!jobs->requests, "%s: a request is left", name);
    SIM_CHECK(jobs->submit_bytes == 0, "%s: %zu bytes of submits are left", name,
              jobs->submit_bytes);
    SIM_CHECK(!jobs->outboxes, "%s: an outbox is left", name);
    /* A renewal may be here just now. */
    SIM_CHECK(bus_active(jobs->bus) <= 3, "%s: %zu calls are left", name, bus_active(jobs->bus));
    SIM_CHECK(slots_free(jobs->slots) == free_slots_wanted(),
              "%s: %lld slots are free and should be %lld", name,
              (long long)slots_free(jobs->slots), (long long)free_slots_wanted());
    SIM_CHECK(instance->bytes < instance->bytes_idle + IDLE_BYTES,
              "%s: %zu bytes, %zu at its start", name, instance->bytes, instance->bytes_idle);
}

void check_idle(void)
{
    const struct db *db = sim_db();
    for (size_t i = 0; i < db->job_count; i++)
        SIM_CHECK(!db->jobs[i]->queued, "%s never ends: state %d, attempt %lld", db->jobs[i]->id,
                  db->jobs[i]->state, (long long)db->jobs[i]->attempt);
    for (size_t i = 0; i < check.accepted_count; i++)
        SIM_CHECK(db_find(db, check.accepted[i].job_id), "%s was accepted and is lost",
                  check.accepted[i].job_id);
    SIM_CHECK(!check.acting, "%s#%lld still runs", check.acting->job_id,
              (long long)check.acting->attempt);
    SIM_CHECK(sim_runs_alive() == 0, "%zu runs live", sim_runs_alive());
    for (size_t i = 0; i < sim.instance_count && !sim.failed; i++)
        if (sim.instances[i]->alive && sim.instances[i]->role == SIM_JOBS)
            check_jobs_idle(sim.instances[i]);
}
