/* mcpbus run: a job for a user, followed to its result. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/input.h"
#include "services/cli/lookup.h"
#include "services/cli/submit.h"

/* "a,b" as an array. */
static json_t *words_of(const char *text)
{
    json_t *words = json_array();
    AUTOFREE char *copy = mem_strdup(text);
    char *rest = copy, *word;
    while ((word = strsep(&rest, ", ")))
        if (*word)
            json_array_append_new(words, json_string(word));
    return words;
}

/* The run's options as POST /run takes them; NULL: none. */
static int options_of(const struct args *args, json_t **ret_options)
{
    json_t *options = json_object();
    int64_t turns = 0;
    if (args_int(args, "--max-turns", 0, 1, 1000, &turns)) {
        json_decref(options);
        return CLI_USAGE;
    }
    if (args_text(args, "--model", NULL))
        json_object_set_new(options, "model", json_string(args_text(args, "--model", NULL)));
    if (args_text(args, "--tools", NULL))
        json_object_set_new(options, "tools", words_of(args_text(args, "--tools", NULL)));
    if (args_text(args, "--time-zone", NULL))
        json_object_set_new(options, "time_zone",
                            json_string(args_text(args, "--time-zone", NULL)));
    if (turns)
        json_object_set_new(options, "max_turns", json_integer((json_int_t)turns));
    *ret_options = json_object_size(options) ? json_incref(options) : NULL;
    json_decref(options);
    return CLI_OK;
}

static int run(struct bus_session *session, const struct args *args, const char *message,
               const json_t *options)
{
    AUTOFREE char *user_id = NULL;
    AUTOJSON json_t *job = NULL;
    int status = lookup_user(session, args_text(args, "--user", ""), &user_id);
    if (status)
        return status;
    struct submit submit = {.user_id = user_id,
                            .message = message,
                            .options = options,
                            .conversation_id = args_text(args, "--conversation", NULL),
                            .callback_url = args_text(args, "--callback-url", NULL),
                            .key = args_text(args, "--idempotency-key", NULL)};
    status = submit_job(session, &submit, &job);
    return status ? status : submit_follow(session, args, job);
}

int cmd_run(int argc, char **argv)
{
    struct args args;
    struct bus_session *session = NULL;
    AUTOFREE char *message = NULL;
    AUTOJSON json_t *options = NULL;
    if (args_parse("run", argc, argv, 1, 1, &args))
        return CLI_USAGE;
    if (!args_text(&args, "--user", NULL)) {
        fprintf(stderr, "mcpbus run: --user is missing: the id or email address of the user whose "
                        "job it is\n");
        return command_usage("run");
    }
    if (args_flag(&args, "--wait") && args_flag(&args, "--no-wait")) {
        fprintf(stderr, "mcpbus run: --wait and --no-wait exclude each other\n");
        return command_usage("run");
    }
    int status = input_text(args.words[0], &message);
    if (!status)
        status = options_of(&args, &options);
    if (!status)
        status = session_open(&args, &session);
    if (!status)
        status = run(session, &args, message, options);
    session_close(&session);
    return status;
}
