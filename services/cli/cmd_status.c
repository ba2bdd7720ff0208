/* mcpbus status: is all well? Brokers one by one, replicas, the queue and its workers. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/output.h"
#include "services/cli/progress.h"
#include "services/cli/status.h"

enum {
    BROKERS_MAX = 16,
    LOOK_MS = 3000,
    ALL_MS = 10000,
    REPLICAS_MAX = 500,
    EVERY_MS = 2000,
    FRAME_BYTES = 256 * 1024,
};

/* What every deployment has at least one of. */
static const char *const needed[] = {"gateway", "auth", "jobs", "worker"};

static void problem(struct status *status, const char *what, const char *why)
{
    AUTOFREE char *text = mem_printf("%s: %s", what, why);
    json_array_append_new(status->problems, json_string(text));
}

/* Each by a client of its own: together they would hide the one that is away. */
static void look_at_brokers(struct status *status)
{
    AUTOFREE char *copy = mem_strdup(status->settings->brokers);
    char *rest = copy, *endpoint;
    for (int i = 0; i < BROKERS_MAX && (endpoint = strsep(&rest, ", "));) {
        struct bus_session *session = NULL;
        struct mcpbus_error error = {0};
        if (!*endpoint)
            continue;
        i++;
        enum mcpbus_status found = session_connect(
            status->settings, endpoint, session_connect_ms(status->settings), &session, &error);
        const char *state = !found                        ? "connected"
                            : found == MCPBUS_ERR_DENIED  ? "refuses the key"
                            : found == MCPBUS_ERR_TIMEOUT ? "no answer"
                                                          : "unusable";
        json_array_append_new(status->brokers,
                              json_pack("{s:s, s:s, s:s?}", "endpoint", endpoint, "state", state,
                                        "detail", found ? error.detail : NULL));
        if (found)
            problem(status, endpoint, state);
        session_close(&session);
    }
}

static enum mcpbus_status ask(struct status *status, const char *name, json_t **ret_about)
{
    AUTOFREE char *method = mem_printf("%s.about", name);
    int64_t left = status->until - clock_ms();
    session_set_timeout(status->session, left < LOOK_MS ? left : LOOK_MS);
    return session_call(status->session, method, json_object(), NULL, NULL, ret_about);
}

static void look_at_replica(struct status *status, const char *service, const char *instance)
{
    AUTOFREE char *name = mem_printf("%s@%s", service, instance);
    json_t *about = NULL;
    if (clock_ms() >= status->until) {
        json_array_append_new(status->replicas,
                              json_pack("{s:s, s:s, s:s}", "service", service, "instance", instance,
                                        "problem", "not asked"));
        status->unasked++;
        return;
    }
    enum mcpbus_status failed = ask(status, name, &about);
    const char *detail =
        failed == MCPBUS_ERR_TIMEOUT ? "no answer" : session_error(status->session)->detail;
    if (failed) /* one of another version, or of another's making, knows no `about` */
        about =
            json_pack("{s:s, s:s}", "service", service, "problem",
                      failed == MCPBUS_ERR_NOT_FOUND || failed == MCPBUS_ERR_DENIED ? "does not say"
                                                                                    : detail);
    json_object_set_new(about, "instance", json_string(instance));
    json_array_append_new(status->replicas, about);
    const char *trouble = js_str(about, "problem", NULL);
    if (trouble && failed != MCPBUS_ERR_NOT_FOUND && failed != MCPBUS_ERR_DENIED)
        problem(status, name, trouble);
}

static size_t connected(const struct status *status)
{
    size_t i, count = 0;
    json_t *broker;
    json_array_foreach(status->brokers, i, broker) count +=
        !strcmp(js_str(broker, "state", ""), "connected");
    return count;
}

static void look_at_service(struct status *status, const char *service, const json_t *instances)
{
    size_t i;
    json_t *instance;
    json_array_foreach(instances, i, instance)
    {
        if (json_array_size(status->replicas) < REPLICAS_MAX)
            look_at_replica(status, service, json_string_value(instance));
    }
}

/* mcpbus's own first: the silent ones of somebody else take the time. */
static void look_at_replicas(struct status *status)
{
    AUTOJSON json_t *overview = session_overview(status->session, connected(status), LOOK_MS);
    json_t *services = json_object_get(overview, "services"), *instances;
    const char *service;
    status->until = clock_ms() + ALL_MS;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        instances = json_object_get(services, needed[i]);
        look_at_service(status, needed[i], instances);
        if (!json_array_size(instances))
            problem(status, needed[i], "no replica runs");
        json_object_del(services, needed[i]);
    }
    json_object_foreach(services, service, instances) look_at_service(status, service, instances);
    session_set_timeout(status->session, LOOK_MS);
    if (status->unasked) {
        AUTOFREE char *what = mem_printf("%zu replicas", status->unasked);
        problem(status, what, "not asked, for the others took ten seconds to answer");
    }
}

static void look_at_jobs(struct status *status)
{
    if (session_call(status->session, "jobs.health", json_object(), NULL, NULL, &status->jobs)) {
        const char *detail = session_error(status->session)->detail;
        status->jobs = json_pack("{s:s}", "problem", detail);
        problem(status, "jobs can't be accepted", detail);
    }
    AUTOJSON json_t *result = NULL;
    if (session_call(status->session, "jobs.workers", json_object(), NULL, NULL, &result))
        return; /* whoever can't tell has said so above */
    status->workers = json_incref(json_object_get(result, "workers"));
}

static void status_reset(struct status *status)
{
    json_decref(status->brokers);
    json_decref(status->replicas);
    json_decref(status->problems);
    json_decref(status->jobs);
    json_decref(status->workers);
    status->brokers = status->replicas = status->problems = status->jobs = status->workers = NULL;
}

/* An enum cli_status: CLI_OK, CLI_FAILED, or that there is no way in, which is not said yet. */
static int look(struct status *status)
{
    status_reset(status);
    status->brokers = json_array();
    status->replicas = json_array();
    status->problems = json_array();
    status->unasked = 0;
    look_at_brokers(status);
    if (!connected(status)) {
        session_close(&status->session);
        return CLI_NO_BROKER;
    }
    int result = status->session ? CLI_OK : session_open_by(status->settings, &status->session);
    if (result)
        return result;
    look_at_replicas(status);
    look_at_jobs(status);
    return json_array_size(status->problems) ? CLI_FAILED : CLI_OK;
}

static void print_json(const struct status *status)
{
    AUTOJSON json_t *all =
        json_pack("{s:O, s:O, s:O?, s:O?, s:O, s:s?, s:s?}", "brokers", status->brokers, "services",
                  status->replicas, "jobs", status->jobs, "workers", status->workers, "problems",
                  status->problems, "gateway_url", status->settings->gateway_url, "monitor_url",
                  status->settings->monitor_url);
    output_json(all);
}

static int show_once(struct status *status, struct bus_settings *settings, bool json)
{
    int result = look(status);
    if (!status->brokers)
        return result;
    if (json)
        print_json(status);
    else
        status_print(status, NULL);
    settings->json = false; /* the value has been printed */
    return status->session ? result : session_open_by(settings, &status->session); /* says why */
}

/* The frame in one piece, between the marks of a synchronized update. */
static void draw(const struct status *status)
{
    char heading[96], at[16] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (localtime_r(&now, &tm))
        strftime(at, sizeof at, "%H:%M:%S", &tm);
    snprintf(heading, sizeof heading, "%smcpbus status%s  %s, every 2 s; Ctrl-C ends it",
             output_paint(stdout, PAINT_HEAD), output_paint(stdout, PAINT_PLAIN), at);
    if (!output_moves(stdout)) {
        status_print(status, heading);
        putchar('\n');
    } else {
        printf("\033[?2026h\033[H\033[J");
        status_print(status, heading);
        printf("\033[?2026l");
    }
    fflush(stdout);
}

static int watch(struct status *status, bool json)
{
    static char frame[FRAME_BYTES];
    bool screen = !json && output_moves(stdout);
    setvbuf(stdout, frame, _IOFBF, sizeof frame);
    interrupts_count();
    if (screen) {
        printf("\033[2J");
        cursor_hide();
    }
    do {
        look(status);
        if (!status->brokers || interrupts())
            break;
        if (json)
            print_json(status);
        else
            draw(status);
        fflush(stdout);
    } while (!ferror(stdout) && interrupts_pause(0, EVERY_MS));
    if (screen)
        cursor_show();
    return interrupts() ? CLI_INTERRUPTED : CLI_FAILED;
}

int cmd_status(int argc, char **argv)
{
    struct args args;
    static struct bus_settings settings;
    if (args_parse("status", argc, argv, 0, 0, &args))
        return CLI_USAGE;
    int result = bus_settings_load(&args, &settings);
    if (result)
        return result;
    struct status status = {.settings = &settings};
    bool json = args_flag(&args, "--json");
    result =
        args_flag(&args, "--watch") ? watch(&status, json) : show_once(&status, &settings, json);
    session_close(&status.session);
    status_reset(&status);
    return result;
}
