/* mcpbus call: any method of the bus. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/buf.h"
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

/* With --json an error is on stdout, too, for scripts. */
static int fail(const struct bus_session *session, const struct args *args)
{
    const struct mcpbus_error *error = session_error(session);
    if (args_flag(args, "--json")) {
        AUTOJSON json_t *json =
            json_pack("{s:s, s:s, s:b, s:I}", "error", mcpbus_status_name(error->status), "detail",
                      error->detail, "retry", error->retry, "retry_after_ms",
                      (json_int_t)error->retry_after_ms);
        output_json(json);
    }
    return session_fail(session, args->words[0]);
}

static int call(struct bus_session *session, const struct args *args, json_t *body)
{
    AUTOJSON json_t *result = NULL;
    const char *method = args->words[0];
    if (args_flag(args, "--one-way"))
        return session_send(session, method, body) ? fail(session, args) : CLI_OK;
    interrupts_count();
    if (session_call(session, method, body, args_flag(args, "--stream") ? on_part : NULL, NULL,
                     &result))
        return fail(session, args);
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
