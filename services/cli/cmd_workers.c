/* mcpbus workers, workers drain, workers resume. */
#include <stdio.h>
#include <string.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/help.h"
#include "services/cli/output.h"
#include "services/cli/progress.h"
#include "services/cli/workers.h"

/* An offer is repeated each second and the store's count of runs is as old: by then no run that was
 * on its way is missing from either. */
enum { SETTLE_MS = 3000, POLL_MS = 500, TICK_MS = 100 };

static int list(struct bus_session *session, const struct args *args)
{
    AUTOJSON json_t *workers = NULL;
    int status = workers_get(session, &workers);
    if (status)
        return status;
    if (args_flag(args, "--json"))
        output_json(workers);
    else
        workers_print(workers);
    return CLI_OK;
}

int cmd_workers(int argc, char **argv)
{
    struct args args;
    struct bus_session *session = NULL;
    if (args_parse("workers", argc, argv, 0, 1, &args))
        return CLI_USAGE;
    if (args.word_count && strcmp(args.words[0], "list") != 0) {
        output_say(stderr, "mcpbus: there is no command workers %s\n", args.words[0]);
        help_suggest("workers", args.words[0]);
        return command_usage("workers");
    }
    int status = session_open(&args, &session);
    if (!status)
        status = list(session, &args);
    session_close(&session);
    return status;
}

/* Tells one; `ret_running`: how many runs it has. */
static enum mcpbus_status tell(struct bus_session *session, const json_t *worker, bool resume,
                               int64_t *ret_running)
{
    AUTOJSON json_t *result = NULL;
    AUTOFREE char *method = mem_printf("worker@%s.drain", js_str(worker, "instance", ""));
    enum mcpbus_status status =
        session_call(session, method, json_pack("{s:b}", "resume", resume), NULL, NULL, &result);
    if (!status)
        *ret_running = js_int(result, "running", 0);
    return status;
}

static int tell_all(struct bus_session *session, const struct args *args, const json_t *workers,
                    bool resume)
{
    size_t i;
    json_t *worker;
    json_array_foreach(workers, i, worker)
    {
        int64_t running = 0;
        if (tell(session, worker, resume, &running))
            return session_fail(session, js_str(worker, "instance", ""));
        json_object_set_new(worker, "draining", json_boolean(!resume));
        json_object_set_new(worker, "running", json_integer((json_int_t)running));
        if (!args_flag(args, "--json"))
            output_say(stdout, "%s on %s: %s, %lld running\n", js_str(worker, "instance", ""),
                       js_str(worker, "host", ""),
                       resume ? "takes jobs again" : "takes no more jobs", (long long)running);
    }
    fflush(stdout);
    return CLI_OK;
}

/* Runs that these workers have, by their own word or the store's, whichever is more; one that has
 * gone has none. */
static int count_runs(struct bus_session *session, const json_t *drained, int64_t *ret_runs)
{
    AUTOJSON json_t *workers = NULL;
    int64_t runs = 0;
    size_t i, n;
    json_t *worker, *known;
    int status = workers_get(session, &workers);
    if (status)
        return status;
    json_array_foreach(drained, i, worker)
    {
        int64_t own = 0, stored = 0;
        enum mcpbus_status told = tell(session, worker, false, &own);
        if (told && told != MCPBUS_ERR_NO_SERVICE)
            return session_fail(session, js_str(worker, "instance", ""));
        json_array_foreach(workers, n, known)
        {
            if (!strcmp(js_str(known, "instance", ""), js_str(worker, "instance", "")))
                stored += js_int(known, "running", 0);
        }
        runs += own > stored ? own : stored;
    }
    *ret_runs = runs;
    return CLI_OK;
}

/* Until it is time to count again. */
static void wait_shown(struct progress *progress, const char *text)
{
    for (int64_t ms = 0; ms < POLL_MS && !interrupts(); ms += TICK_MS) {
        progress_show(progress, text);
        interrupts_pause(0, TICK_MS);
    }
}

static int wait_empty(struct bus_session *session, const struct args *args, const json_t *drained)
{
    int64_t began = clock_ms(), timeout = 0, runs = 0;
    struct progress progress;
    char text[64];
    if (args_int(args, "--timeout", 0, 1, 86400, &timeout))
        return CLI_USAGE;
    interrupts_count();
    progress_begin(&progress);
    for (;;) {
        int status = count_runs(session, drained, &runs);
        int64_t now = clock_ms();
        if (!status && timeout && now - began >= timeout * 1000)
            status = CLI_TIMEOUT;
        if (status || (!runs && now - began >= SETTLE_MS) || interrupts()) {
            progress_end(&progress);
            if (status == CLI_TIMEOUT || interrupts())
                fprintf(stderr, "mcpbus: they stay draining: mcpbus workers shows them\n");
            return interrupts() ? CLI_INTERRUPTED : status;
        }
        snprintf(text, sizeof text, "%lld still running", (long long)runs);
        wait_shown(&progress, text);
    }
}

static int change(struct bus_session *session, const struct args *args, bool resume)
{
    AUTOJSON json_t *workers = NULL, *found = NULL;
    int status = workers_get(session, &workers);
    if (!status)
        status = workers_find(session, workers, args->words[0], &found);
    if (!status)
        status = tell_all(session, args, found, resume);
    if (!status && !resume && args_flag(args, "--wait"))
        status = wait_empty(session, args, found);
    if (!status && args_flag(args, "--json"))
        output_json(found);
    return status;
}

static int change_command(const char *command, int argc, char **argv, bool resume)
{
    struct args args;
    struct bus_session *session = NULL;
    if (args_parse(command, argc, argv, 1, 1, &args))
        return CLI_USAGE;
    int status = session_open(&args, &session);
    if (!status) {
        session_set_timeout(session, 10000);
        status = change(session, &args, resume);
    }
    session_close(&session);
    return status;
}

int cmd_workers_drain(int argc, char **argv)
{
    return change_command("workers drain", argc, argv, false);
}

int cmd_workers_resume(int argc, char **argv)
{
    return change_command("workers resume", argc, argv, true);
}
