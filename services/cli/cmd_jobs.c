/* mcpbus jobs get, events, cancel, approve, deny, retry: one job, of any user. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/follow.h"
#include "services/cli/lookup.h"
#include "services/cli/submit.h"

/* What is common to them: one word, the job's id, and what jobs.find tells of it. */
struct one {
    struct args args;
    struct bus_session *session;
    json_t *job;
};

static int one_open(const char *command, int argc, char **argv, struct one *ret_one)
{
    struct one one = {0};
    if (args_parse(command, argc, argv, 1, 1, &one.args))
        return CLI_USAGE;
    int status = session_open(&one.args, &one.session);
    if (!status)
        status = lookup_job(one.session, one.args.words[0], args_text(&one.args, "--user", NULL),
                            &one.job);
    if (status)
        session_close(&one.session);
    else
        *ret_one = one;
    return status;
}

static int one_close(struct one *one, int status)
{
    json_decref(one->job);
    session_close(&one->session);
    return status;
}

static void print_line(const char *name, const json_t *value)
{
    AUTOFREE char *text =
        json_is_string(value) ? mem_strdup(json_string_value(value)) : js_dump(value);
    if (json_is_null(value) || !value)
        return;
    printf("%s%-16s%s ", output_paint(stdout, PAINT_HEAD), name, output_paint(stdout, PAINT_PLAIN));
    output_say(stdout, "%s\n", text);
}

static void print_job(const json_t *job, const json_t *found)
{
    static const char *const names[] = {"job_id",       "user_id",         "status",
                                        "message",      "result",          "error_message",
                                        "token_usage",  "created_at",      "updated_at",
                                        "completed_at", "conversation_id", "waiting_approval"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        print_line(names[i], json_object_get(job, names[i]));
    print_line("attempt", json_object_get(found, "attempt"));
    print_line("options", json_object_get(found, "options"));
    print_line("worker", json_object_get(found, "instance"));
    print_line("host", json_object_get(found, "host"));
}

/* Calls a method that gives the job; prints it. */
static int call_and_print(struct one *one, const char *method, json_t *args)
{
    AUTOJSON json_t *job = NULL;
    if (session_call(one->session, method, args, NULL, NULL, &job))
        return session_fail(one->session, method);
    if (args_flag(&one->args, "--json"))
        output_json(job);
    else if (strcmp(method, "jobs.get") != 0)
        output_say(stdout, "%s %s\n", js_str(job, "job_id", ""), js_str(job, "status", ""));
    else
        print_job(job, one->job);
    return CLI_OK;
}

int cmd_jobs_get(int argc, char **argv)
{
    struct one one;
    int status = one_open("jobs get", argc, argv, &one);
    return status ? status
                  : one_close(&one, call_and_print(&one, "jobs.get", lookup_args(one.job)));
}

int cmd_jobs_watch(int argc, char **argv)
{
    struct one one;
    int status = one_open("jobs watch", argc, argv, &one);
    return status ? status : one_close(&one, submit_follow(one.session, &one.args, one.job));
}

int cmd_jobs_cancel(int argc, char **argv)
{
    struct one one;
    int status = one_open("jobs cancel", argc, argv, &one);
    return status ? status
                  : one_close(&one, call_and_print(&one, "jobs.cancel", lookup_args(one.job)));
}

static int decide(struct one *one, const char *decision)
{
    json_t *args = lookup_args(one->job);
    const char *reason = args_text(&one->args, "--reason", NULL);
    json_object_set_new(args, "decision", json_string(decision));
    if (reason)
        json_object_set_new(args, "reason", json_string(reason));
    json_t *ids = json_array();
    for (int i = 0; i < one->args.option_count; i++)
        if (!strcmp(one->args.options[i].name, "--call"))
            json_array_append_new(ids, json_string(one->args.options[i].value));
    if (json_array_size(ids))
        json_object_set(args, "call_ids", ids);
    json_decref(ids);
    return call_and_print(one, "jobs.decide", args);
}

int cmd_jobs_approve(int argc, char **argv)
{
    struct one one;
    int status = one_open("jobs approve", argc, argv, &one);
    return status ? status : one_close(&one, decide(&one, "approve"));
}

int cmd_jobs_deny(int argc, char **argv)
{
    struct one one;
    int status = one_open("jobs deny", argc, argv, &one);
    return status ? status : one_close(&one, decide(&one, "deny"));
}

static int show_events(struct one *one)
{
    struct follow follow = {.session = one->session,
                            .job = one->job,
                            .events = stdout,
                            .json = args_flag(&one->args, "--json")};
    bool ended = false;
    int64_t timeout = 0;
    if (args_int(&one->args, "--after", 0, 0, INT32_MAX, &follow.after) ||
        args_int(&one->args, "--timeout", 0, 1, 86400, &timeout))
        return CLI_USAGE;
    if (args_flag(&one->args, "--follow")) {
        follow.timeout_ms = timeout * 1000;
        interrupts_count();
        enum follow_end end = follow_job(&follow);
        if (end == FOLLOW_LOST)
            return session_fail(one->session, "jobs.events");
        return end == FOLLOW_TIMEOUT       ? CLI_TIMEOUT
               : end == FOLLOW_INTERRUPTED ? CLI_INTERRUPTED
                                           : CLI_OK;
    }
    int64_t before;
    do {
        before = follow.after;
        if (follow_look(&follow, &ended))
            return session_fail(one->session, "jobs.events");
    } while (follow.after > before && !ended);
    return CLI_OK;
}

int cmd_jobs_events(int argc, char **argv)
{
    struct one one;
    int status = one_open("jobs events", argc, argv, &one);
    return status ? status : one_close(&one, show_events(&one));
}

/* A new job with what the old one was asked. */
static int retry(struct one *one)
{
    AUTOJSON json_t *old = NULL, *job = NULL;
    if (session_call(one->session, "jobs.get", lookup_args(one->job), NULL, NULL, &old))
        return session_fail(one->session, "jobs.get");
    const json_t *options = json_object_get(one->job, "options");
    struct submit submit = {.user_id = js_str(old, "user_id", ""),
                            .message = js_str(old, "message", ""),
                            .options = json_is_object(options) ? options : NULL,
                            .conversation_id = js_str(one->job, "conversation_id", NULL)};
    int status = submit_job(one->session, &submit, &job);
    return status ? status : submit_follow(one->session, &one->args, job);
}

int cmd_jobs_retry(int argc, char **argv)
{
    struct one one;
    int status = one_open("jobs retry", argc, argv, &one);
    return status ? status : one_close(&one, retry(&one));
}
