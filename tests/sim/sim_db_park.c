/* PARK and DECIDE, and what a job has used. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "tests/sim/sim_db_internal.h"

static const struct db_event *last_of(const struct db_job *job)
{
    return job->stored_count ? &job->stored[job->stored_count - 1] : NULL;
}

static bool is_asking(const struct db_job *job)
{
    const struct db_event *last = last_of(job);
    return last && job->last_event == (int64_t)job->stored_count + 2 &&
           !strcmp(last->type, "waiting_approval");
}

static void park(struct db *db, int64_t now, struct db_job *job, struct store_finish *item)
{
    db_begin(db, job);
    job->state = 2;
    job->deadline = now + db->approval_timeout_us;
    job->updated_at = now;
    db_set(&job->session, NULL);
    if (item->token_usage)
        db_set(&job->token_usage, item->token_usage);
    db_commit(db, job, "park", item->attempt);
}

void db_park(struct db *db, int64_t now, struct store_finish **items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct store_finish *item = items[i];
        struct db_job *job = db_fenced(db, item->job_id, item->attempt);
        item->error = job ? ERR_OK : ERR_STALE_TOKEN;
        if (!job)
            continue;
        bool asked = is_asking(job);
        snprintf(item->fate, sizeof item->fate, "%s", asked ? "waiting" : "unasked");
        snprintf(item->user_id, sizeof item->user_id, "%s", job->user_id);
        if (asked)
            park(db, now, job, item);
    }
}

/* Is each of `ids`, {"a","b"}, one that the job waits with? */
static bool waits_with(const struct db_job *job, const char *ids)
{
    AUTOJSON json_t *data = json_loads(last_of(job)->data, 0, NULL);
    AUTOFREE char *text = mem_strdup(ids);
    char *rest = text, *id;
    while ((id = strsep(&rest, "{\",}"))) {
        const json_t *calls = json_object_get(data, "calls");
        bool found = !*id;
        for (size_t i = 0; i < json_array_size(calls); i++)
            found |= !strcmp(js_str(json_array_get(calls, i), "id", ""), id);
        if (!found)
            return false;
    }
    return true;
}

void db_decide(struct db *db, int64_t now, const char *job_id, const char *user_id,
               const char *data, const char *call_ids, struct db_changes *ret)
{
    struct db_job *job = db_find(db, job_id);
    if (!job || !job->queued || strcmp(job->user_id, user_id) != 0)
        return;
    if ((job->state != 2 || job->deadline < now) && db->bug != DB_BUG_DECIDES_ANY)
        return;
    if (call_ids && job->state == 2 && !waits_with(job, call_ids))
        return;
    db_begin(db, job);
    db_requeue(job, now);
    db_add_event(job, now, "approval", data);
    db_add_change(db, ret, job, NULL, true, false);
    db_commit(db, job, "decide", 0);
}

void db_take_usage(struct db_job *job)
{
    AUTOJSON json_t *known = job->token_usage ? json_loads(job->token_usage, 0, NULL) : NULL;
    for (size_t i = job->stored_count; i-- > 0;) {
        const struct db_event *event = &job->stored[i];
        if (strcmp(event->type, "message") != 0 && strcmp(event->type, "tool_call") != 0 &&
            strcmp(event->type, "waiting_approval") != 0)
            continue;
        AUTOJSON json_t *data = json_loads(event->data, 0, NULL);
        const json_t *usage = json_object_get(data, "usage");
        if (!json_is_object(usage))
            continue;
        AUTOFREE char *text = js_dump(usage);
        if (js_int(usage, "total_tokens", 0) >= js_int(known, "total_tokens", 0))
            db_set(&job->token_usage, text);
        return;
    }
}
