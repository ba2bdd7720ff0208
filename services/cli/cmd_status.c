/* mcpbus status: is all well? Brokers one by one, replicas, the queue and its workers. */
#include <stdio.h>
#include <string.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/output.h"
#include "services/cli/workers.h"

enum { BROKERS_MAX = 16, LOOK_MS = 3000, ALL_MS = 10000, REPLICAS_MAX = 500 };

/* What every deployment has at least one of. */
static const char *const needed[] = {"gateway", "auth", "jobs", "worker"};

struct status {
    const struct bus_settings *settings;
    struct bus_session *session; /* NULL: no broker */
    json_t *brokers, *replicas, *jobs, *workers, *problems;
    int64_t until; /* no replica is asked any more */
};

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
    if (left <= 0)
        return MCPBUS_ERR_TIMEOUT;
    session_set_timeout(status->session, left < LOOK_MS ? left : LOOK_MS);
    return session_call(status->session, method, json_object(), NULL, NULL, ret_about);
}

static void look_at_replica(struct status *status, const char *service, const char *instance)
{
    AUTOFREE char *name = mem_printf("%s@%s", service, instance);
    json_t *about = NULL;
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

static void print_brokers(const struct status *status)
{
    static const char *const heads[] = {"BROKER", "STATE", ""};
    struct table *table = table_new(heads, 3);
    size_t i;
    json_t *broker;
    json_array_foreach(status->brokers, i, broker)
    {
        bool good = !strcmp(js_str(broker, "state", ""), "connected");
        table_add(table, PAINT_PLAIN, js_str(broker, "endpoint", ""));
        table_add(table, good ? PAINT_GOOD : PAINT_BAD, js_str(broker, "state", ""));
        table_add(table, PAINT_DIM, js_str(broker, "detail", ""));
    }
    table_print(&table);
}

static void add_number(struct table *table, bool told, int64_t number, const char *unit)
{
    if (told)
        table_addf(table, PAINT_PLAIN, "%lld%s", (long long)number, unit);
    else
        table_add(table, PAINT_PLAIN, "");
}

static void print_replicas(const struct status *status)
{
    static const char *const heads[] = {"SERVICE", "INSTANCE", "HOST",   "PID",
                                        "VERSION", "UP",       "MEMORY", "STATE"};
    struct table *table = table_new(heads, 8);
    size_t i;
    json_t *replica;
    json_array_foreach(status->replicas, i, replica)
    {
        const char *trouble = js_str(replica, "problem", NULL);
        bool told = json_object_get(replica, "pid") != NULL;
        char up[16] = "";
        if (told)
            output_duration(js_int(replica, "uptime_ms", 0), up);
        table_add(table, PAINT_PLAIN, js_str(replica, "service", ""));
        table_add(table, PAINT_DIM, js_str(replica, "instance", ""));
        table_add(table, PAINT_PLAIN, js_str(replica, "host", ""));
        add_number(table, told, js_int(replica, "pid", 0), "");
        table_add(table, PAINT_PLAIN, js_str(replica, "version", ""));
        table_add(table, PAINT_PLAIN, up);
        add_number(table, told, js_int(replica, "memory_bytes", 0) >> 20, " MiB");
        table_add(table, trouble ? PAINT_BAD : PAINT_GOOD, trouble ? trouble : "well");
    }
    table_print(&table);
}

/* What services say of themselves, others' too. */
static void print_trouble(const char *before, const char *red, const char *text)
{
    printf("%s%s%s%s", before, output_paint(stdout, PAINT_BAD), red,
           *red ? output_paint(stdout, PAINT_PLAIN) : "");
    output_text(stdout, text);
    printf("%s\n", *red ? "" : output_paint(stdout, PAINT_PLAIN));
}

static void print_jobs(const struct status *status)
{
    const char *trouble = js_str(status->jobs, "problem", NULL);
    if (trouble)
        print_trouble("jobs: ", "", trouble);
    else
        printf("jobs: %lld waiting, %lld running; PostgreSQL answers\n",
               (long long)js_int(status->jobs, "queued", 0),
               (long long)js_int(status->jobs, "running", 0));
}

static void print_all(const struct status *status)
{
    size_t i;
    json_t *text;
    print_brokers(status);
    if (status->session) {
        putchar('\n');
        print_replicas(status);
        putchar('\n');
        print_jobs(status);
    }
    if (json_array_size(status->workers)) {
        putchar('\n');
        workers_print(status->workers);
    }
    putchar('\n');
    json_array_foreach(status->problems, i, text)
        print_trouble("", "problem ", json_string_value(text));
    if (!json_array_size(status->problems))
        printf("%sall is well%s\n", output_paint(stdout, PAINT_GOOD),
               output_paint(stdout, PAINT_PLAIN));
}

static int show(struct status *status, const struct args *args)
{
    int result = CLI_OK;
    look_at_brokers(status);
    if (connected(status)) {
        result = session_open_by(status->settings, &status->session);
        if (result)
            return result;
        look_at_replicas(status);
        look_at_jobs(status);
    }
    if (args_flag(args, "--json")) {
        AUTOJSON json_t *all = json_pack("{s:O, s:O, s:O?, s:O?, s:O}", "brokers", status->brokers,
                                         "services", status->replicas, "jobs", status->jobs,
                                         "workers", status->workers, "problems", status->problems);
        output_json(all);
    } else {
        print_all(status);
    }
    if (!status->session)
        return session_open_by(status->settings, &status->session); /* says why, and what to do */
    return json_array_size(status->problems) ? CLI_FAILED : CLI_OK;
}

int cmd_status(int argc, char **argv)
{
    struct args args;
    struct bus_settings settings;
    if (args_parse("status", argc, argv, 0, 0, &args))
        return CLI_USAGE;
    int result = bus_settings_load(&args, &settings);
    if (result)
        return result;
    struct status status = {.settings = &settings,
                            .brokers = json_array(),
                            .replicas = json_array(),
                            .problems = json_array()};
    result = show(&status, &args);
    session_close(&status.session);
    json_decref(status.brokers);
    json_decref(status.replicas);
    json_decref(status.jobs);
    json_decref(status.workers);
    json_decref(status.problems);
    return result;
}
