/* mcpbus jobs list: the newest jobs, of one user or of all. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/lookup.h"
#include "services/cli/output.h"

enum {
    LIMIT = 20,
    USER_LIMIT_MAX = 100,
    LIMIT_MAX = 200,
    MESSAGE_COLUMNS = 60,
    MESSAGE_BYTES = 1024
};

static const char *const heads[] = {"JOB", "STATUS", "AGE", "USER", "MESSAGE"};

/* How long ago a time of the wire was. */
static void age_of(const char *timestamp, char ret_text[16])
{
    struct tm tm = {0};
    snprintf(ret_text, 16, "?");
    if (strptime(timestamp, "%Y-%m-%dT%H:%M:%S", &tm))
        output_duration((int64_t)(time(NULL) - timegm(&tm)) * 1000, ret_text);
}

static enum paint paint_of(const char *status)
{
    return !strcmp(status, "completed")                                ? PAINT_GOOD
           : !strcmp(status, "failed") || !strcmp(status, "cancelled") ? PAINT_BAD
           : !strcmp(status, "running")                                ? PAINT_WARN
                                                                       : PAINT_PLAIN;
}

static void add_message(struct table *table, const char *message)
{
    struct buf buf;
    buf_init(&buf, MESSAGE_BYTES);
    output_clean(&buf, message, MESSAGE_COLUMNS);
    table_add(table, PAINT_PLAIN, buf_text(&buf));
    buf_fini(&buf);
}

static void print_list(const json_t *jobs)
{
    struct table *table = table_new(heads, "kkrcc");
    size_t i;
    json_t *job;
    json_array_foreach(jobs, i, job)
    {
        const char *status = js_str(job, "status", "");
        char age[16];
        age_of(js_str(job, "created_at", ""), age);
        table_add(table, PAINT_PLAIN, js_str(job, "job_id", ""));
        table_add(table, paint_of(status), status);
        table_add(table, PAINT_PLAIN, age);
        table_add(table, PAINT_PLAIN, js_str(job, "user_id", ""));
        add_message(table, js_str(job, "message", ""));
    }
    table_print(&table);
}

/* The method's arguments, and which it is. */
static int query(struct bus_session *session, const struct args *args, const char **ret_method,
                 json_t **ret_args)
{
    const char *user = args_text(args, "--user", NULL), *status = args_text(args, "--status", NULL);
    const char *conversation = args_text(args, "--conversation", NULL);
    AUTOFREE char *user_id = NULL;
    int64_t limit = LIMIT;
    if (args_int(args, "--limit", LIMIT, 1, user ? USER_LIMIT_MAX : LIMIT_MAX, &limit))
        return CLI_USAGE;
    int found = user ? lookup_user(session, user, &user_id) : CLI_OK;
    if (found)
        return found;
    json_t *query = json_pack("{s:I}", "limit", (json_int_t)limit);
    if (user) {
        json_object_set_new(query, "user_id", json_string(user_id));
        json_object_set_new(query, "offset", json_integer(0));
    }
    if (status)
        json_object_set_new(query, "status", json_string(status));
    if (conversation)
        json_object_set_new(query, "conversation_id", json_string(conversation));
    *ret_method = user ? "jobs.list" : "jobs.recent";
    *ret_args = query;
    return CLI_OK;
}

static bool fits(const struct args *args)
{
    if (!args_text(args, "--conversation", NULL) ||
        (args_text(args, "--user", NULL) && !args_text(args, "--status", NULL)))
        return true;
    fprintf(stderr, "mcpbus jobs list: --conversation needs --user, and goes without --status\n");
    return false;
}

static int list(struct bus_session *session, const struct args *args)
{
    AUTOJSON json_t *result = NULL;
    json_t *body = NULL;
    const char *method = NULL;
    int status = query(session, args, &method, &body);
    if (status)
        return status;
    if (session_call(session, method, body, NULL, NULL, &result))
        return session_fail(session, method);
    if (args_flag(args, "--json"))
        output_json(result);
    else
        print_list(json_object_get(result, "jobs"));
    return CLI_OK;
}

int cmd_jobs_list(int argc, char **argv)
{
    struct args args;
    struct bus_session *session = NULL;
    if (args_parse("jobs list", argc, argv, 0, 0, &args) || !fits(&args))
        return CLI_USAGE;
    int status = session_open(&args, &session);
    if (!status)
        status = list(session, &args);
    session_close(&session);
    return status;
}
