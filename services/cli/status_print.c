#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "services/cli/output.h"
#include "services/cli/status.h"
#include "services/cli/workers.h"

static void print_brokers(const struct status *status)
{
    static const char *const heads[] = {"BROKER", "STATE", ""};
    struct table *table = table_new(heads, "kkc");
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

static enum paint state_paint(const char *trouble)
{
    return !trouble ? PAINT_GOOD : !strcmp(trouble, "not asked") ? PAINT_WARN : PAINT_BAD;
}

static void print_replicas(const struct status *status)
{
    static const char *const heads[] = {"SERVICE", "INSTANCE", "HOST",   "PID",
                                        "VERSION", "UP",       "MEMORY", "STATE"};
    struct table *table = table_new(heads, "kdcrdrrc");
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
        table_add(table, state_paint(trouble), trouble ? trouble : "well");
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

/* Where to look next, if it is known here. */
static void print_pointers(const struct bus_settings *settings)
{
    if (settings->monitor_url)
        output_say(stdout, "dashboard  %s\n", settings->monitor_url);
    if (settings->gateway_url)
        output_say(stdout, "chat page  %s/app\nAPI        %s/docs\n", settings->gateway_url,
                   settings->gateway_url);
    if (settings->monitor_url || settings->gateway_url)
        putchar('\n');
}

static void print_verdict(const struct status *status)
{
    size_t i;
    json_t *text;
    json_array_foreach(status->problems, i, text)
        print_trouble("", "problem ", json_string_value(text));
    if (!json_array_size(status->problems))
        printf("%sall is well%s\n", output_paint(stdout, PAINT_GOOD),
               output_paint(stdout, PAINT_PLAIN));
}

void status_print(const struct status *status, const char *heading)
{
    if (heading) {
        printf("%s\n", heading);
        print_verdict(status);
        putchar('\n');
    }
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
    print_pointers(status->settings);
    if (!heading)
        print_verdict(status);
}
