#include "tests/sim/sim_db.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "tests/sim/sim_db_internal.h"

enum { ROW_LATE_US = 30 * DB_SECOND };

void db_init(struct db *db, int64_t job_timeout_ms, int64_t max_attempts)
{
    *db = (struct db){.job_timeout_us = job_timeout_ms * 1000, .max_attempts = max_attempts};
    db->by_id = map_new();
}

static void free_job(struct db_job *job)
{
    for (size_t i = 0; i < job->stored_count; i++) {
        free(job->stored[i].type);
        free(job->stored[i].data);
    }
    free(job->stored);
    free(job->id);
    free(job->user_id);
    free(job->message);
    free(job->result);
    free(job->error_message);
    free(job->token_usage);
    free(job->env_names);
    free(job->session);
    free(job);
}

void db_fini(struct db *db)
{
    for (size_t i = 0; i < db->job_count; i++)
        free_job(db->jobs[i]);
    for (size_t i = 0; i < db->session_count; i++) {
        free(db->sessions[i]->session);
        free(db->sessions[i]->instance);
        free(db->sessions[i]);
    }
    for (size_t i = 0; i < db->key_count; i++) {
        free(db->keys[i].user_id);
        free(db->keys[i].key);
        free(db->keys[i].hash);
        free(db->keys[i].job_id);
    }
    free(db->jobs);
    free(db->sessions);
    free(db->keys);
    map_destroy(&db->by_id);
}

void db_time(int64_t at, char ret_text[STORE_TIME_SIZE])
{
    time_t seconds = (time_t)(at / DB_SECOND);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(ret_text, STORE_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret_text + len, STORE_TIME_SIZE - len, ".%06dZ", (int)(at % DB_SECOND));
}

int64_t db_parse_time(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    return (int64_t)timegm(&tm) * DB_SECOND + (rest ? atoi(rest + 1) : 0);
}

struct db_job *db_find(const struct db *db, const char *job_id)
{
    struct db_job *job = map_get(db->by_id, job_id, strlen(job_id));
    return job && !job->deleted ? job : NULL;
}

struct db_session *db_find_session(const struct db *db, const char *session)
{
    for (size_t i = 0; session && i < db->session_count; i++)
        if (!strcmp(db->sessions[i]->session, session))
            return db->sessions[i];
    return NULL;
}

void db_begin(const struct db *db, struct db_job *job)
{
    if (db->before)
        db->before(job);
}

void db_commit(const struct db *db, struct db_job *job, const char *statement, int64_t attempt)
{
    if (db->after)
        db->after(job, statement, attempt);
}

void db_set(char **to, const char *text)
{
    free(*to);
    *to = mem_strdup_opt(text);
}

void db_grow(void *list_p, size_t count, size_t *room, size_t size)
{
    void *list;
    if (count < *room)
        return;
    memcpy(&list, list_p, sizeof list);
    *room = *room ? *room * 2 : 16;
    list = mem_resize(list, *room * size);
    memcpy(list_p, &list, sizeof list);
}

/* --- SUBMIT --- */

static struct db_key *find_key(const struct db *db, const char *user_id, const char *key)
{
    for (size_t i = 0; key && i < db->key_count; i++)
        if (!strcmp(db->keys[i].key, key) && !strcmp(db->keys[i].user_id, user_id))
            return &db->keys[i];
    return NULL;
}

static void add_job(struct db *db, int64_t now, struct store_submit *item)
{
    struct db_job *job = mem_alloc(sizeof *job);
    const struct db_session *session = db_find_session(db, item->session);
    db_set(&job->id, item->job_id);
    db_set(&job->user_id, item->user_id);
    db_set(&job->message, item->message);
    job->status = "pending";
    job->created_at = job->updated_at = job->run_at = now;
    job->events = job->last_event = 1;
    job->queued = true;
    item->claimed = session && session->lease_until > now;
    if (item->claimed) {
        job->state = 1;
        job->attempt = 1;
        job->last_event = 2;
        job->claimed_at = job->first_started_at = now;
        job->deadline = now + db->job_timeout_us;
        db_set(&job->session, item->session);
    }
    db_grow(&db->jobs, db->job_count, &db->job_room, sizeof(struct db_job *));
    db->jobs[db->job_count++] = job;
    map_put(db->by_id, job->id, strlen(job->id), job);
    db_time(now, item->created_at);
    item->error = ERR_OK;
    db_commit(db, job, "submit", 0);
}

/* An id that is there twice is taken once. */
static bool is_first(struct store_submit **items, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (!strcmp(items[i]->job_id, items[at]->job_id))
            return false;
    return true;
}

static int by_job_id(const void *a, const void *b)
{
    return strcmp((*(struct store_submit *const *)a)->job_id,
                  (*(struct store_submit *const *)b)->job_id);
}

void db_submit(struct db *db, int64_t now, struct store_submit **items, size_t count)
{
    struct store_submit **sorted = mem_alloc(count * sizeof(struct store_submit *));
    size_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        items[i]->error = ERR_NOT_FOUND;
        items[i]->claimed = false;
        *items[i]->existing = '\0';
        if (is_first(items, i))
            sorted[taken++] = items[i];
    }
    qsort(sorted, taken, sizeof *sorted, by_job_id);
    for (size_t i = 0; i < taken; i++) {
        struct store_submit *item = sorted[i];
        if (item->key && db->bug != DB_BUG_KEY_FORGOTTEN) {
            if (find_key(db, item->user_id, item->key))
                continue;
            db_grow(&db->keys, db->key_count, &db->key_room, sizeof(struct db_key));
            db->keys[db->key_count++] =
                (struct db_key){mem_strdup(item->user_id), mem_strdup(item->key),
                                mem_strdup_opt(item->hash), mem_strdup(item->job_id), now};
        }
        if (!db_find(db, item->job_id))
            add_job(db, now, item);
    }
    free(sorted);
}

void db_submit_lookup(struct db *db, struct store_submit **items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct store_submit *item = items[i];
        if (item->error != ERR_NOT_FOUND)
            continue;
        const struct db_key *key = find_key(db, item->user_id, item->key);
        const struct db_job *job = db_find(db, key ? key->job_id : item->job_id);
        if (key && (!item->hash || strcmp(key->hash, item->hash) != 0)) {
            item->error = ERR_CONFLICT;
        } else if (key || (job && !strcmp(job->user_id, item->user_id))) {
            item->error = ERR_OK;
            snprintf(item->existing, sizeof item->existing, "%s", key ? key->job_id : item->job_id);
        } else {
            item->error = job ? ERR_CONFLICT : ERR_OVERLOADED;
        }
    }
}

/* --- CLAIM, SCAN --- */

static void claim(struct db *db, int64_t now, struct db_job *job, struct store_claim *item)
{
    db_begin(db, job);
    job->state = 1;
    job->attempt += db->bug != DB_BUG_KEEPS_ATTEMPT || job->attempt == 0;
    job->claimed_at = now;
    job->deadline = now + db->job_timeout_us;
    if (!job->first_started_at)
        job->first_started_at = now;
    if (job->last_event < 2)
        job->last_event = 2;
    db_set(&job->session, item->session);
    item->error = ERR_OK;
    item->attempt = job->attempt;
    item->events = job->last_event;
    item->user_id = job->user_id;
    item->message = job->message;
    db_commit(db, job, "claim", 0);
}

void db_claim(struct db *db, int64_t now, struct store_claim **items, const bool *locked,
              size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct store_claim *item = items[i];
        struct db_job *job = db_find(db, item->job_id);
        const struct db_session *session = db_find_session(db, item->session);
        bool waits = job && job->queued && job->run_at <= now &&
                     (job->state == 0 || db->bug == DB_BUG_DOUBLE_CLAIM);
        item->error = ERR_NOT_FOUND;
        if (waits && session && session->lease_until > now && !(locked && locked[i]))
            claim(db, now, job, item);
    }
}

void db_add_change(struct db *db, struct db_changes *ret, const struct db_job *job,
                   const char *session, bool queued, bool ended)
{
    const struct db_session *held = db_find_session(db, session);
    db_grow(&ret->items, ret->count, &ret->room, sizeof *ret->items);
    ret->items[ret->count++] = (struct store_change){.job_id = job->id,
                                                     .user_id = job->user_id,
                                                     .attempt = job->attempt,
                                                     .queued = queued,
                                                     .ended = ended,
                                                     .instance = held ? held->instance : NULL};
}

static int by_id(const void *a, const void *b)
{
    return strcmp((*(struct db_job *const *)a)->id, (*(struct db_job *const *)b)->id);
}

static int64_t users_before(struct db_job **jobs, size_t at)
{
    int64_t n = 1;
    for (size_t i = 0; i < at; i++)
        n += !strcmp(jobs[i]->user_id, jobs[at]->user_id);
    return n;
}

/* ORDER BY n, job_id: the first of each user, then the second. */
void db_scan(struct db *db, int64_t now, int64_t per_user, int64_t max, struct db_changes *ret)
{
    struct db_job **waiting = mem_alloc((db->job_count + 1) * sizeof(struct db_job *));
    size_t count = 0;
    for (size_t i = 0; i < db->job_count; i++)
        if (db->jobs[i]->queued && !db->jobs[i]->state && db->jobs[i]->run_at <= now)
            waiting[count++] = db->jobs[i];
    qsort(waiting, count, sizeof *waiting, by_id);
    int64_t *nth = mem_alloc((count + 1) * sizeof *nth), most = 0;
    for (size_t i = 0; i < count; i++) {
        nth[i] = users_before(waiting, i);
        most = nth[i] > most ? nth[i] : most;
    }
    for (int64_t n = 1; n <= most && n <= per_user; n++)
        for (size_t i = 0; i < count && (int64_t)ret->count < max; i++)
            if (nth[i] == n)
                db_add_change(db, ret, waiting[i], NULL, true, false);
    for (size_t i = 0; i < ret->count; i++)
        ret->items[i].attempt = 0;
    free(nth);
    free(waiting);
}

/* --- APPEND --- */

struct db_job *db_fenced(struct db *db, const char *job_id, int64_t attempt)
{
    struct db_job *job = db_find(db, job_id);
    return job && job->queued && job->state == 1 && job->attempt == attempt ? job : NULL;
}

void db_add_event(struct db_job *job, int64_t now, const char *type, const char *data)
{
    db_grow(&job->stored, job->stored_count, &job->stored_room, sizeof *job->stored);
    job->stored[job->stored_count++] = (struct db_event){mem_strdup(type), mem_strdup(data), now};
    job->last_event++;
}

static void append(struct db *db, int64_t now, struct db_job *job, const struct store_append *item)
{
    db_begin(db, job);
    for (size_t i = 0; i < item->count; i++)
        db_add_event(job, now, item->events[i].type, item->events[i].data);
    db_commit(db, job, "append", item->attempt);
}

void db_append(struct db *db, int64_t now, struct store_append **items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct store_append *item = items[i];
        struct db_job *job = db_fenced(db, item->job_id, item->attempt);
        bool shadowed = false;
        for (size_t n = 0; n < i; n++)
            shadowed |= !strcmp(items[n]->job_id, item->job_id);
        if (shadowed || !job) {
            item->error = shadowed ? ERR_OVERLOADED : ERR_STALE_TOKEN;
            continue;
        }
        if (job->last_event == item->after)
            append(db, now, job, item);
        item->last = job->last_event;
        item->error = item->last == item->after + (int64_t)item->count ? ERR_OK : ERR_CONFLICT;
    }
}

/* --- FINISH --- */

void db_end(struct db *db, int64_t now, struct db_job *job, const char *status)
{
    (void)db;
    job->queued = false;
    job->status = status;
    job->attempts = job->attempt;
    job->events = job->last_event + 1;
    job->started_at = job->first_started_at;
    job->completed_at = job->updated_at = now;
}

void db_requeue(struct db_job *job, int64_t run_at)
{
    job->state = 0;
    job->deadline = 0;
    job->run_at = run_at;
    db_set(&job->session, NULL);
}

static void finish(struct db *db, int64_t now, struct db_job *job, struct store_finish *item)
{
    bool retry = !strcmp(item->outcome, "retry"), released = !strcmp(item->outcome, "released");
    bool used_up = retry && job->failures + 1 >= db->max_attempts;
    const char *fate = used_up ? "failed" : item->outcome;
    db_begin(db, job);
    snprintf(item->fate, sizeof item->fate, "%s", fate);
    snprintf(item->user_id, sizeof item->user_id, "%s", job->user_id);
    item->error = ERR_OK;
    if (released || (retry && !used_up)) {
        double wait = fmin(60, (double)(1 << (job->failures < 10 ? job->failures : 10)));
        wait *= 0.75 + (db->jitter ? db->jitter() : 0) * 0.25;
        db_requeue(job, retry ? now + (int64_t)(wait * DB_SECOND) : now);
        job->failures += retry;
    } else {
        db_end(db, now, job, !strcmp(fate, "completed") ? "completed" : "failed");
        db_set(&job->result, item->result);
        db_set(&job->error_message, item->error_message);
        db_set(&job->token_usage, item->token_usage);
        db_set(&job->env_names, item->env_names);
    }
    db_commit(db, job, "finish", item->attempt);
}

void db_finish(struct db *db, int64_t now, struct store_finish **items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct db_job *job = db_fenced(db, items[i]->job_id, items[i]->attempt);
        if (db->bug == DB_BUG_NO_FENCE) {
            job = db_find(db, items[i]->job_id);
            job = job && job->queued ? job : NULL;
        }
        items[i]->error = ERR_STALE_TOKEN;
        if (job)
            finish(db, now, job, items[i]);
    }
}

/* --- CANCEL, REAP, FORGET --- */

void db_cancel(struct db *db, int64_t now, const char *job_id, const char *user_id,
               struct db_changes *ret)
{
    struct db_job *job = db_find(db, job_id);
    if (!job || !job->queued || strcmp(job->user_id, user_id) != 0)
        return;
    db_begin(db, job);
    db_add_change(db, ret, job, job->session, false, true);
    db_end(db, now, job, "cancelled");
    db_take_usage(job);
    if (db->bug == DB_BUG_CANCEL_KEEPS_ROW)
        job->queued = true;
    db_commit(db, job, "cancel", 0);
}

static bool is_lost(const struct db *db, int64_t now, const struct db_job *job)
{
    const struct db_session *session = db_find_session(db, job->session);
    return !session || session->lease_until <= now - DB_SECOND || db->bug == DB_BUG_EARLY_REAP;
}

static void reap(struct db *db, int64_t now, struct db_job *job, bool late, struct db_changes *ret)
{
    char text[96];
    bool parked = job->state == 2;
    bool again = !late && !parked && job->losses + 1 < STORE_LOSSES_MAX;
    db_begin(db, job);
    db_add_change(db, ret, job, job->session, again, !again);
    if (again) {
        db_requeue(job, now);
        job->losses++;
    } else {
        snprintf(text, sizeof text,
                 "The job was given up: the worker that ran it was lost %d times.",
                 STORE_LOSSES_MAX);
        db_end(db, now, job, "failed");
        db_take_usage(job);
        db_set(&job->error_message, parked ? "Nobody approved or denied the tool calls in time."
                                    : late ? "The job timed out."
                                           : text);
    }
    db_commit(db, job, "reap", 0);
}

void db_reap(struct db *db, int64_t now, int64_t max, struct db_changes *ret)
{
    for (size_t i = 0; i < db->job_count && (int64_t)ret->count < max; i++) {
        struct db_job *job = db->jobs[i];
        bool late = job->deadline && job->deadline + ROW_LATE_US < now;
        bool over = job->state == 2 && job->deadline < now && db->bug != DB_BUG_PARK_FOR_EVER;
        if (job->queued && (over || (job->state == 1 && (late || is_lost(db, now, job)))))
            reap(db, now, job, late, ret);
    }
}

void db_forget(struct db *db, const char *user_id, struct db_changes *ret)
{
    for (size_t i = 0; i < db->job_count; i++) {
        struct db_job *job = db->jobs[i];
        if (job->deleted || strcmp(job->user_id, user_id) != 0)
            continue;
        db_add_change(db, ret, job, job->queued ? job->session : NULL, false, true);
        if (!job->queued)
            ret->items[ret->count - 1].attempt = 0;
        map_take(db->by_id, job->id, strlen(job->id));
        job->deleted = true;
        job->queued = false;
    }
    size_t kept = 0;
    for (size_t i = 0; i < db->key_count; i++)
        if (strcmp(db->keys[i].user_id, user_id) != 0)
            db->keys[kept++] = db->keys[i];
    db->key_count = kept;
}

void db_counts(const struct db *db, int64_t *ret_queued, int64_t *ret_running)
{
    *ret_queued = *ret_running = 0;
    for (size_t i = 0; i < db->job_count; i++)
        if (db->jobs[i]->queued && db->jobs[i]->state < 2)
            ++*(db->jobs[i]->state ? ret_running : ret_queued);
}
