/* mcpbus call: any method of the bus. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "services/cli/bus_session.h"
#include "services/cli/input.h"
#include "services/cli/output.h"

static void on_part(void *arg, const json_t *part)
{
    (void)arg;
    output_json(part);
    fflush(stdout);
}

/* SERVICE.METHOD or SERVICE@INSTANCE.METHOD, by the letters that names have. */
static bool is_method(const char *text)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t service = strspn(text, letters);
    const char *rest = text + service;
    if (*rest == '@')
        rest += strcspn(rest, ".");
    return service && *rest == '.' && rest[-1] != '@' && rest[1] &&
           rest[1 + strspn(rest + 1, letters)] == '\0';
}

static int call(struct bus_session *session, const struct args *args, json_t *body)
{
    AUTOJSON json_t *result = NULL;
    const char *method = args->words[0];
    if (args_flag(args, "--one-way"))
        return session_send(session, method, body) ? session_fail(session, method) : CLI_OK;
    interrupts_count();
    if (session_call(session, method, body, args_flag(args, "--stream") ? on_part : NULL, NULL,
                     &result))
        return session_fail(session, method);
    output_json(result);
    return CLI_OK;
}

int cmd_call(int argc, char **argv)
{
    struct args args;
    struct bus_session *session = NULL;
    json_t *body = NULL;
    if (args_parse("call", argc, argv, 1, 2, &args))
        return CLI_USAGE;
    if (!is_method(args.words[0])) {
        output_say(stderr,
                   "mcpbus call: %s is no method: it takes SERVICE.METHOD, such as jobs.health\n",
                   args.words[0]);
        return command_usage("call");
    }
    int status = input_json(args.word_count > 1 ? args.words[1] : "{}", &body);
    if (!status)
        status = session_open(&args, &session);
    if (status)
        json_decref(body);
    else
        status = call(session, &args, body);
    session_close(&session);
    return status;
}
