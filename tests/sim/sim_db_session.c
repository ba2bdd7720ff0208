/* Sessions, and the reads. */
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "tests/sim/sim_db_internal.h"

enum { LEASE_US = STORE_LEASE_MS * 1000, MISSING_MAX = 256 };

enum err db_session_open(struct db *db, int64_t now, const char *session, const char *instance)
{
    struct db_session *row = db_find_session(db, session);
    if (!row) {
        row = mem_alloc(sizeof *row);
        db_set(&row->session, session);
        db_set(&row->instance, instance);
        row->lease_until = now + LEASE_US;
        db_grow(&db->sessions, db->session_count, &db->session_room, sizeof(struct db_session *));
        db->sessions[db->session_count++] = row;
    } else if (row->lease_until > now) {
        row->lease_until = now + LEASE_US;
    }
    return row->lease_until > now ? ERR_OK : ERR_STALE_TOKEN;
}

void db_session_close(struct db *db, int64_t now, const char *session, struct db_changes *ret)
{
    struct db_session *row = db_find_session(db, session);
    if (row && row->lease_until > now)
        row->lease_until = now;
    for (size_t i = 0; i < db->job_count; i++) {
        struct db_job *job = db->jobs[i];
        if (!job->queued || job->state != 1 || strcmp(job->session, session) != 0)
            continue;
        db_begin(db, job);
        db_add_change(db, ret, job, NULL, true, false);
        db_requeue(job, now);
        db_commit(db, job, "close", 0);
    }
}

static const struct db_job *held_by(const struct db *db, const json_t *run, const char *session)
{
    const struct db_job *job = db_find(db, js_str(run, "job_id", ""));
    return job && job->queued && job->state == 1 && job->attempt == js_int(run, "attempt", 0) &&
                   !strcmp(job->session, session)
               ? job
               : NULL;
}

void db_renew(struct db *db, int64_t now, int64_t clock, struct store_renew **items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct store_renew *item = items[i];
        struct db_session *row = db_find_session(db, item->session);
        bool alive = row && (row->lease_until > clock || db->bug == DB_BUG_RENEWAL_REVIVES);
        size_t n;
        json_t *run;
        item->error = alive ? ERR_OK : ERR_STALE_TOKEN;
        item->ret_held = json_array();
        if (!alive)
            continue;
        if (db->renewing)
            db->renewing(row->lease_until, clock);
        row->lease_until = clock + LEASE_US;
        db_time(now, item->renewed_at);
        json_array_foreach(item->held, n, run)
        {
            const struct db_job *job = db->bug == DB_BUG_HELD_ECHOED
                                           ? db_find(db, js_str(run, "job_id", ""))
                                           : held_by(db, run, item->session);
            if (job)
                json_array_append_new(item->ret_held,
                                      json_pack("{s:s, s:I}", "job_id", job->id, "attempt",
                                                (json_int_t)job->attempt));
        }
    }
}

static bool lists(const json_t *held, const char *job_id)
{
    size_t n;
    json_t *run;
    json_array_foreach((json_t *)held, n,
                       run) if (!strcmp(js_str(run, "job_id", ""), job_id)) return true;
    return false;
}

void db_missing(struct db *db, int64_t now, const char *session, const json_t *held,
                int64_t renewed_at, struct db_runs *ret)
{
    const struct db_session *row = db_find_session(db, session);
    ret->items = mem_alloc(MISSING_MAX * sizeof *ret->items);
    ret->created_at = mem_alloc(MISSING_MAX * sizeof *ret->created_at);
    for (size_t i = 0; row && i < db->job_count && ret->count < MISSING_MAX; i++) {
        const struct db_job *job = db->jobs[i];
        if (!job->queued || job->state != 1 || strcmp(job->session, session) != 0 ||
            job->deadline <= now || job->claimed_at >= renewed_at - DB_SECOND ||
            lists(held, job->id) || db->bug == DB_BUG_NO_REDELIVERY)
            continue;
        db_time(job->created_at, ret->created_at[ret->count]);
        ret->items[ret->count] = (struct store_run){.job_id = job->id,
                                                    .user_id = job->user_id,
                                                    .message = job->message,
                                                    .created_at = ret->created_at[ret->count],
                                                    .session = job->session,
                                                    .instance = row->instance,
                                                    .attempt = job->attempt,
                                                    .events = job->last_event,
                                                    .time_ms = (job->deadline - now) / 1000};
        ret->count++;
    }
}

static json_t *text(const char *value)
{
    return value ? json_string(value) : json_null();
}

static json_t *timestamp(int64_t at)
{
    char value[STORE_TIME_SIZE];
    if (!at)
        return json_null();
    db_time(at, value);
    return json_string(value);
}

static json_t *parsed(const char *value)
{
    json_t *json = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
    return json ? json : json_null();
}

json_t *db_get(const struct db *db, const char *job_id, const char *user_id)
{
    const struct db_job *job = db_find(db, job_id);
    if (!job || strcmp(job->user_id, user_id) != 0)
        return NULL;
    bool runs = job->queued && job->state != 0;
    int64_t updated = job->updated_at;
    if (job->queued && job->claimed_at > updated)
        updated = job->claimed_at;
    json_t *got =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "job_id", text(job->id),
                  "user_id", text(job->user_id), "message", text(job->message), "status",
                  text(runs ? "running" : job->status), "result", text(job->result),
                  "error_message", text(job->error_message), "token_usage",
                  parsed(job->token_usage), "created_at", timestamp(job->created_at), "updated_at",
                  timestamp(updated), "completed_at", timestamp(job->completed_at));
    if (job->queued && job->state == 2) {
        AUTOJSON json_t *asking = parsed(job->stored[job->stored_count - 1].data);
        json_object_set(got, "waiting_approval", json_object_get(asking, "calls"));
    }
    return got;
}

static void add_status(json_t *events, int64_t seq, const char *status, int64_t at)
{
    json_array_append_new(events, json_pack("{s:I, s:s, s:{s:s, s:o}}", "seq", (json_int_t)seq,
                                            "type", "status", "data", "status", status, "timestamp",
                                            timestamp(at)));
}

static void add_first(json_t *events, const struct db_job *job, int64_t after)
{
    int64_t attempts = job->queued ? job->attempt : job->attempts;
    if (after < 1)
        add_status(events, 1, "pending", job->created_at);
    if (after < 2 && attempts > 0) {
        add_status(events, 2, "running", job->started_at ? job->started_at : job->first_started_at);
        json_object_set_new(
            json_object_get(json_array_get(events, json_array_size(events) - 1), "data"), "attempt",
            json_integer(1));
    }
}

json_t *db_events(const struct db *db, const char *job_id, const char *user_id, int64_t after,
                  int64_t limit)
{
    const struct db_job *job = db_find(db, job_id);
    if (!job || strcmp(job->user_id, user_id) != 0)
        return NULL;
    json_t *events = json_array();
    int64_t last = job->queued ? job->last_event : job->events, at = after;
    add_first(events, job, after);
    for (size_t i = 0; i < job->stored_count; i++) {
        int64_t seq = (int64_t)i + 3;
        if (seq <= after)
            continue;
        json_t *data = parsed(job->stored[i].data);
        json_object_set_new(data, "timestamp", timestamp(job->stored[i].at));
        json_array_append_new(events, json_pack("{s:I, s:s, s:o}", "seq", (json_int_t)seq, "type",
                                                job->stored[i].type, "data", data));
    }
    while ((int64_t)json_array_size(events) > limit)
        json_array_remove(events, json_array_size(events) - 1);
    if (json_array_size(events))
        at = js_int(json_array_get(events, json_array_size(events) - 1), "seq", 0);
    if (!job->queued && at == last - 1 && (int64_t)json_array_size(events) < limit) {
        add_status(events, last, job->status, job->completed_at);
        if (job->error_message)
            json_object_set_new(
                json_object_get(json_array_get(events, json_array_size(events) - 1), "data"),
                "error_message", text(job->error_message));
        at = last;
    }
    return json_pack("{s:o, s:b, s:I}", "events", events, "ended", !job->queued && at >= last,
                     "last", (json_int_t)last);
}
