/* jobs.get_many: what the users of a gateway ask for in the same moment. */
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/js_write.h"
#include "libcommon/mem.h"
#include "services/jobs/jobs.h"

enum { READ_MAX_MS = 10000, GET_MANY_MAX = 64, ERROR_TEXT_MAX = 128 };
/* Room for all the others' errors stays. */
enum { JOBS_TEXT_MAX = PROTO_BODY_MAX_BYTES - GET_MANY_MAX * ERROR_TEXT_MAX };

struct many {
    struct jobs *jobs;
    struct bus_call *call;
    json_t *args; /* the texts are its own */
    size_t count;
    const char *ids[GET_MANY_MAX], *users[GET_MANY_MAX];
};

static void add_text(struct buf *out, const char *key, const char *text)
{
    if (text) {
        js_add_member(out, key, text);
    } else {
        js_add_key(out, key);
        buf_add_str(out, "null");
    }
}

/* As jobs.get has it. */
static void add_usage(struct buf *out, const char *text)
{
    json_t *usage = NULL;
    js_add_key(out, "token_usage");
    if (text && js_parse(text, strlen(text), &usage, NULL) == ERR_OK && json_is_object(usage)) {
        json_object_del(usage, "cached_tokens");
        js_dump_buf(usage, out);
    } else {
        buf_add_str(out, "null");
    }
    json_decref(usage);
}

/* The two ids first: gateways pass on as it is what begins with those that were asked for. */
void jobs_add_job(struct buf *out, const struct store_job *job)
{
    buf_add_char(out, '{');
    add_text(out, "job_id", job->job_id);
    add_text(out, "user_id", job->user_id);
    add_text(out, "message", job->message);
    add_text(out, "status", job->status);
    add_text(out, "result", job->result);
    add_text(out, "error_message", job->error_message);
    add_usage(out, job->token_usage);
    add_text(out, "created_at", job->created_at);
    add_text(out, "updated_at", job->updated_at);
    add_text(out, "completed_at", job->completed_at);
    if (job->conversation_id)
        add_text(out, "conversation_id", job->conversation_id);
    if (job->waiting_approval) {
        js_add_key(out, "waiting_approval");
        buf_add_str(out, job->waiting_approval);
    }
    buf_add_char(out, '}');
}

static void add_error(struct buf *out, enum err error, const char *detail)
{
    buf_add_char(out, '{');
    js_add_member(out, "error", err_name(error));
    js_add_member(out, "detail", detail);
    buf_add_char(out, '}');
}

static void add_result(struct buf *out, const struct store_job *job)
{
    size_t before = out->len;
    if (before > sizeof("{\"results\":[") - 1)
        buf_add_char(out, ',');
    if (!job) {
        add_error(out, ERR_NOT_FOUND, "Job not found");
        return;
    }
    size_t begin = out->len;
    if (!job->cut)
        jobs_add_job(out, job);
    if (!job->cut && !out->full && out->len <= JOBS_TEXT_MAX)
        return;
    out->len = begin;
    out->full = false;
    add_error(out, ERR_TOO_LARGE, "ask for this one alone");
}

/* The store's guard stands around all users of the batch; whose a row is, is seen here once more.
 */
static const struct store_job *own(const struct store_job *job, const char *user_id)
{
    return strcmp(job->user_id, user_id) == 0 ? job : NULL;
}

static void on_jobs(void *arg, enum err error, const struct store_job *jobs, size_t count)
{
    struct many *many = arg;
    struct buf out;
    if (error) {
        jobs_reply_error(&many->call, error);
    } else {
        buf_init(&out, (size_t)2 * PROTO_BODY_MAX_BYTES);
        buf_add_str(&out, "{\"results\":[");
        for (size_t i = 0, next = 0; i < many->count; i++)
            add_result(&out, next < count && jobs[next].index == i
                                 ? own(&jobs[next++], many->users[i])
                                 : NULL);
        buf_add_str(&out, "]}");
        bus_reply_text(&many->call, &out);
    }
    json_decref(many->args);
    free(many);
}

static bool take_texts(const json_t *list, size_t count, const char **ret_texts)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *text = json_array_get(list, i);
        if (!json_is_string(text) || json_string_length(text) > STORE_USER_MAX)
            return false;
        ret_texts[i] = json_string_value(text);
    }
    return json_array_size(list) == count;
}

void jobs_get_many(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    const json_t *ids = json_object_get(args, "ids"), *users = json_object_get(args, "users");
    struct many *many = mem_alloc(sizeof *many);
    *many = (struct many){.jobs = jobs, .call = call, .count = json_array_size(ids)};
    if (many->count == 0 || many->count > GET_MANY_MAX ||
        !take_texts(ids, many->count, many->ids) || !take_texts(users, many->count, many->users)) {
        free(many);
        bus_reply_error(&call, ERR_INVALID,
                        "ids and users must be 1 to %d texts of at most %d bytes", GET_MANY_MAX,
                        STORE_USER_MAX);
        return;
    }
    many->args = json_incref(args);
    int64_t left = bus_call_time_left(call);
    store_get_many(jobs->store, many->ids, many->users, many->count,
                   left < READ_MAX_MS ? left : READ_MAX_MS, on_jobs, many);
}
