/* Reads, in the protocol's form: jobs.get, jobs.list, jobs.events. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "proto/tables.h"
#include "services/jobs/store_internal.h"

/* Control characters take six bytes in JSON: a full page of them must still fit into a message. */
enum {
    LIST_TEXT_MAX = 4096,
    LIST_ERROR_MAX = 8192,
    LIST_JSON_MAX = 10000,
    LIST_CALLS_MAX = 20,
    PAGE_EVENTS_MAX = 1000,
    JOB_MAX_BYTES = PROTO_BODY_MAX_BYTES - 4096,
    EVENT_ERROR_MAX = 256 * 1024,
};
static const char cut_marker[] = "… [cut]";

/* clang-format off */
static const struct pg_statement own_statement = {
    "own", "SELECT set_config('mcpbus.user', $1, true)", true};

static const struct pg_statement get_statement = {
    "get", "SELECT " STORE_JOB_COLUMNS ", message, result FROM own_jobs WHERE id = $1", true};

/* The job's row beside each stored event of the page; a page ends behind a megabyte. */
static const struct pg_statement events_statement = {
    "events",
    "SELECT d.status, d.ended, d.last_event, d.attempts > 0, "
    STORE_TIME("d.created_at") ", " STORE_TIME("d.started_at") ", "
    STORE_TIME("d.completed_at") ", d.error_message, e.seq, e.type, e.data, "
    STORE_TIME("e.created_at") ","
    " e.type = 'waiting_approval' AND e.seq = d.last_event AND NOT d.ended"
    "  AND (SELECT j.waiting_approval IS NULL FROM own_jobs j WHERE j.id = d.id)"
    " FROM own_job_rows d"
    " LEFT JOIN LATERAL (SELECT * FROM (SELECT *, sum(octet_length(x.data::text) + 200)"
    "   OVER (ORDER BY x.seq) - octet_length(x.data::text) AS before FROM"
    "   (SELECT * FROM own_job_events"
    "   WHERE job_id = d.id AND seq > $2::int ORDER BY seq LIMIT $3::int) x) s"
    "  WHERE before < 1000000) e ON true"
    " WHERE d.id = $1 ORDER BY e.seq",
    true};
/* clang-format on */

struct json_call {
    store_json_fn *done;
    void *arg;
    int64_t limit, offset, after;
    struct store *store;
    char *user_id;
};

static struct json_call *call_new(store_json_fn *done, void *arg)
{
    struct json_call *call = mem_alloc(sizeof *call);
    call->done = done;
    call->arg = arg;
    return call;
}

static void call_end(struct json_call *call, enum err error, json_t *result)
{
    call->done(call->arg, error, result);
    json_decref(result);
    free(call->user_id);
    free(call);
}

void store_read_own(struct pg *pg, const char *user_id, const struct pg_statement *statement,
                    int64_t timeout_ms, const char *const *values, int count, pg_done_fn *done,
                    void *arg)
{
    pg_exec_scoped(pg, &own_statement, user_id, statement, timeout_ms, values, count, done, arg);
}

static json_t *text(const struct pg_rows *rows, size_t row, int column)
{
    const char *value = pg_rows_text(rows, row, column);
    return value ? json_stringn(value, pg_rows_len(rows, row, column)) : json_null();
}

/* So many bytes of a text take LIST_JSON_MAX bytes of JSON at most. */
static size_t fitting_bytes(const char *text, size_t len)
{
    size_t size = 0, i = 0;
    for (; i < len && size <= LIST_JSON_MAX; i++) {
        unsigned char c = (unsigned char)text[i];
        size += strchr("\b\f\n\r\t\"\\", c) ? 2 : c < 0x20 ? 6 : 1;
    }
    return size > LIST_JSON_MAX ? i - 1 : len;
}

static json_t *text_capped(const struct pg_rows *rows, size_t row, int column, size_t max)
{
    const char *value = pg_rows_text(rows, row, column);
    if (!value)
        return json_null();
    size_t len = pg_rows_len(rows, row, column), fits = fitting_bytes(value, len);
    return js_string_capped(value, len, fits < max ? fits : max, cut_marker);
}

static json_t *parsed(const struct pg_rows *rows, size_t row, int column)
{
    const char *value = pg_rows_text(rows, row, column);
    json_t *json = NULL;
    if (!value || js_parse(value, pg_rows_len(rows, row, column), &json, NULL))
        return json_null();
    return json;
}

/* Token usage of the original may be anything; the protocol says object. What a run's events have
 * beside the three counts is not a job's. */
static json_t *object(const struct pg_rows *rows, size_t row, int column)
{
    json_t *json = parsed(rows, row, column);
    json_object_del(json, "cached_tokens");
    if (json_is_object(json))
        return json;
    json_decref(json);
    return json_null();
}

/* A row of STORE_JOB_COLUMNS and what follows them. */
enum job_column {
    J_ERROR = 3,
    J_CONVERSATION = 8,
    J_WAITING,
    J_MESSAGE,
    J_RESULT,
    J_TOTAL,
    J_BEHIND,
    J_AHEAD
};

static json_t *job(const struct pg_rows *rows, size_t row, json_t *message, json_t *result,
                   json_t *error_message)
{
    json_t *job = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "job_id", text(rows, row, 0),
        "user_id", text(rows, row, 1), "message", message, "status", text(rows, row, 2), "result",
        result, "error_message", error_message, "token_usage", object(rows, row, 4), "created_at",
        text(rows, row, 5), "updated_at", text(rows, row, 6), "completed_at", text(rows, row, 7));
    if (pg_rows_text(rows, row, J_CONVERSATION))
        json_object_set_new(job, "conversation_id", text(rows, row, J_CONVERSATION));
    if (pg_rows_text(rows, row, J_WAITING))
        json_object_set_new(job, "waiting_approval", parsed(rows, row, J_WAITING));
    return job;
}

/* In a list, what would be too large is told by its names alone. */
static void shorten_waiting(const struct pg_rows *rows, size_t row, json_t *job)
{
    json_t *calls = json_object_get(job, "waiting_approval"), *call;
    size_t i;
    if (!calls || pg_rows_len(rows, row, J_WAITING) <= LIST_TEXT_MAX)
        return;
    while (json_array_size(calls) > LIST_CALLS_MAX)
        json_array_remove(calls, json_array_size(calls) - 1);
    json_array_foreach(calls, i, call) json_object_del(call, "arguments");
}

static json_t *text_up_to(const struct pg_rows *rows, int column, size_t max)
{
    const char *value = pg_rows_text(rows, 0, column);
    return value ? js_string_capped(value, pg_rows_len(rows, 0, column), max, cut_marker)
                 : json_null();
}

/* Texts of the original may be longer than a message of the bus takes: then they are cut. */
static json_t *one_job(const struct pg_rows *rows)
{
    size_t longest = pg_rows_len(rows, 0, J_MESSAGE) + pg_rows_len(rows, 0, J_RESULT) +
                     pg_rows_len(rows, 0, J_ERROR);
    for (size_t max = longest;; max = max > JOB_MAX_BYTES ? JOB_MAX_BYTES : max / 2) {
        json_t *one = job(rows, 0, text_up_to(rows, J_MESSAGE, max),
                          text_up_to(rows, J_RESULT, max), text_up_to(rows, J_ERROR, max));
        /* A control character takes six bytes. */
        if (longest < JOB_MAX_BYTES / 6 || js_dump_size(one) <= JOB_MAX_BYTES || max < 1024)
            return one;
        json_decref(one);
    }
}

static void on_get(void *arg, enum err error, const struct pg_rows *rows)
{
    if (!error && pg_rows_count(rows) == 0)
        error = ERR_NOT_FOUND;
    call_end(arg, error, error ? NULL : one_job(rows));
}

void store_get(struct store *store, const char *job_id, const char *user_id, int64_t timeout_ms,
               store_json_fn *done, void *arg)
{
    store_read_own(store->reader, user_id, &get_statement, timeout_ms, &job_id, 1, on_get,
                   call_new(done, arg));
}

static void on_list(void *arg, enum err error, const struct pg_rows *rows)
{
    struct json_call *call = arg;
    if (error) {
        call_end(call, error, NULL);
        return;
    }
    json_t *jobs = json_array();
    for (size_t row = 0; row < pg_rows_count(rows); row++) {
        if (!pg_rows_text(rows, row, 0))
            continue;
        json_t *one = job(rows, row, text_capped(rows, row, J_MESSAGE, LIST_TEXT_MAX),
                          text_capped(rows, row, J_RESULT, LIST_TEXT_MAX),
                          text_capped(rows, row, 3, LIST_ERROR_MAX));
        shorten_waiting(rows, row, one);
        json_array_append_new(jobs, one);
    }
    json_t *result = json_pack("{s:o, s:I, s:I, s:I}", "jobs", jobs, "total",
                               (json_int_t)pg_rows_int(rows, 0, J_TOTAL, 0), "limit",
                               (json_int_t)call->limit, "offset", (json_int_t)call->offset);
    store_list_counted(call->store, call->user_id, pg_rows_int(rows, 0, J_BEHIND, 0),
                       pg_rows_bool(rows, 0, J_AHEAD));
    call_end(call, ERR_OK, result);
}

/* Of a conversation, or (NULL) of all with this status. */
static void list(struct store *store, const char *user_id, int64_t limit, int64_t offset,
                 const char *status, const char *conversation_id, int64_t timeout_ms,
                 struct json_call *call)
{
    call->store = store;
    call->user_id = mem_strdup(user_id);
    call->limit = limit;
    call->offset = offset;
    char numbers[2][24];
    snprintf(numbers[0], sizeof numbers[0], "%" PRId64, limit);
    snprintf(numbers[1], sizeof numbers[1], "%" PRId64, offset);
    const char *values[] = {numbers[0], numbers[1], conversation_id};
    if (conversation_id)
        store_read_own(store->reader, user_id, store_list_conversation_statement(), timeout_ms,
                       values, 3, on_list, call);
    else
        store_read_own(store_list_connection(store, status), user_id, store_list_statement(status),
                       timeout_ms, values, 2, on_list, call);
}

void store_list(struct store *store, const char *user_id, int64_t limit, int64_t offset,
                const char *status, int64_t timeout_ms, store_json_fn *done, void *arg)
{
    list(store, user_id, limit, offset, status, NULL, timeout_ms, call_new(done, arg));
}

void store_list_conversation(struct store *store, const char *user_id, int64_t limit,
                             int64_t offset, const char *conversation_id, int64_t timeout_ms,
                             store_json_fn *done, void *arg)
{
    list(store, user_id, limit, offset, "", conversation_id, timeout_ms, call_new(done, arg));
}

enum events_column {
    E_STATUS,
    E_ENDED,
    E_LAST,
    E_CLAIMED,
    E_CREATED_AT,
    E_STARTED_AT,
    E_COMPLETED_AT,
    E_ERROR,
    E_SEQ,
    E_TYPE,
    E_DATA,
    E_AT,
    E_EARLY
};

/* One of the events that no row holds. */
static void add_status(json_t *events, int64_t seq, const char *status, json_t *timestamp)
{
    json_array_append_new(events,
                          json_pack("{s:I, s:s, s:{s:s, s:o}}", "seq", (json_int_t)seq, "type",
                                    "status", "data", "status", status, "timestamp", timestamp));
}

static json_t *last_data(const json_t *events)
{
    return json_object_get(json_array_get(events, json_array_size(events) - 1), "data");
}

static void add_first(json_t *events, const struct pg_rows *rows, const struct json_call *call)
{
    if (call->after < 1 && call->limit > 0)
        add_status(events, 1, "pending", text(rows, 0, E_CREATED_AT));
    if (call->after < 2 && pg_rows_bool(rows, 0, E_CLAIMED) &&
        (int64_t)json_array_size(events) < call->limit) {
        add_status(events, 2, "running", text(rows, 0, E_STARTED_AT));
        json_object_set_new(last_data(events), "attempt", json_integer(1));
    }
}

static void add_stored(json_t *events, const struct pg_rows *rows, const struct json_call *call)
{
    for (size_t row = 0; row < pg_rows_count(rows); row++) {
        if (!pg_rows_text(rows, row, E_SEQ) || (int64_t)json_array_size(events) >= call->limit)
            break;
        json_t *data = parsed(rows, row, E_DATA);
        if (!json_is_object(data)) {
            json_decref(data);
            data = json_object();
        }
        json_object_set_new(data, "timestamp", text(rows, row, E_AT));
        json_int_t seq = pg_rows_int(rows, row, E_SEQ, 0);
        json_t *event =
            json_pack("{s:I, s:o, s:o}", "seq", seq, "type", text(rows, row, E_TYPE), "data", data);
        if (pg_rows_bool(rows, row, E_EARLY))
            json_object_set_new(event, "early", json_true());
        json_array_append_new(events, event);
    }
}

static int64_t last_seq(const json_t *events, int64_t after)
{
    const json_t *event = json_array_get(events, json_array_size(events) - 1);
    return event ? js_int(event, "seq", after) : after;
}

static void on_events(void *arg, enum err error, const struct pg_rows *rows)
{
    struct json_call *call = arg;
    if (error || pg_rows_count(rows) == 0) {
        call_end(call, error ? error : ERR_NOT_FOUND, NULL);
        return;
    }
    json_t *events = json_array();
    bool ended = pg_rows_bool(rows, 0, E_ENDED);
    int64_t last = pg_rows_int(rows, 0, E_LAST, 1);
    add_first(events, rows, call);
    add_stored(events, rows, call);
    int64_t at = last_seq(events, call->after);
    if (ended && at == last - 1 && (int64_t)json_array_size(events) < call->limit) {
        add_status(events, last, pg_rows_text(rows, 0, E_STATUS), text(rows, 0, E_COMPLETED_AT));
        if (pg_rows_text(rows, 0, E_ERROR))
            json_object_set_new(last_data(events), "error_message",
                                text_up_to(rows, E_ERROR, EVENT_ERROR_MAX));
        at = last;
    }
    call_end(call, ERR_OK,
             json_pack("{s:o, s:b, s:I}", "events", events, "ended", ended && at >= last, "last",
                       (json_int_t)last));
}

void store_events(struct store *store, const char *job_id, const char *user_id, int64_t after,
                  int64_t limit, int64_t timeout_ms, store_json_fn *done, void *arg)
{
    struct json_call *call = call_new(done, arg);
    call->after = after;
    call->limit = limit > PAGE_EVENTS_MAX ? PAGE_EVENTS_MAX : limit;
    char numbers[2][24];
    snprintf(numbers[0], sizeof numbers[0], "%" PRId64, after);
    snprintf(numbers[1], sizeof numbers[1], "%" PRId64, call->limit);
    const char *values[] = {job_id, numbers[0], numbers[1]};
    store_read_own(store->reader, user_id, &events_statement, timeout_ms, values, 3, on_events,
                   call);
}
