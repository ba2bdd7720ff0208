#include "libcommon/service_observe.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/crypto.h"
#include "libcommon/http_client_url.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "libcommon/otlp.h"

enum { LAG_MS = 1000, FLUSH_MS = 2000 };

struct service_observe {
    struct loop *loop;
    struct loop_timer *timer;
    struct otlp *otlp; /* NULL without an endpoint */
    int64_t due_us;
    struct metric *lag;
};

static double seconds_of(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void note_cpu(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        metric_set_seconds(metric_counter("process_cpu_seconds_total", NULL,
                                          "Processor time, of user and system, in seconds."),
                           seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime));
}

/* /proc/self/statm: all pages, then those in memory. */
static void note_memory(void)
{
    unsigned long long all = 0, resident = 0;
    char line[128] = "", *rest = line;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return;
    if (fgets(line, sizeof line, file)) {
        all = strtoull(line, &rest, 10);
        resident = strtoull(rest, NULL, 10);
    }
    fclose(file);
    int64_t page = sysconf(_SC_PAGESIZE);
    metric_set(metric_gauge("process_virtual_memory_bytes", NULL, "Virtual memory."),
               (int64_t)all * page);
    metric_set(metric_gauge("process_resident_memory_bytes", NULL, "Memory in use."),
               (int64_t)resident * page);
}

/* Newer kernels say the number as the folder's size, also to a process that may not read its own
 * folder since it is not dumpable. */
static int64_t count_fds(void)
{
    struct stat folder;
    int64_t count = 0;
    if (stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0)
        return folder.st_size;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return -1;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 3; /* ".", "..", and its own */
}

static void note_fds(void)
{
    struct rlimit limit;
    int64_t count = count_fds();
    if (count >= 0)
        metric_set(metric_gauge("process_open_fds", NULL, "Open file descriptors."), count);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metric_set(metric_gauge("process_max_fds", NULL, "The most that may be open."),
                   (int64_t)limit.rlim_cur);
}

static void on_write(void *arg)
{
    (void)arg;
    note_cpu();
    note_memory();
    note_fds();
}

/* What a timer is late by, everything else is late by as well. */
static void on_timer(void *arg)
{
    struct service_observe *observe = arg;
    int64_t late = metric_now_us() - observe->due_us;
    metric_observe_ms(observe->lag, late > 0 ? (double)late / 1000 : 0);
    observe->due_us = metric_now_us() + (int64_t)LAG_MS * 1000;
    loop_timer_start(observe->timer, LAG_MS);
}

static void begin_metrics(struct service_observe *observe, const char *name)
{
    AUTOFREE char *labels = mem_printf("service=\"%s\",version=\"%s\"", name, MCPBUS_VERSION);
    metric_set(metric_gauge("mcpbus_build_info", labels, "1; the labels say what this is."), 1);
    metric_set_seconds(metric_gauge("process_start_time_seconds", NULL,
                                    "When the process began, in seconds since 1970."),
                       (double)span_now_us() / 1e6);
    observe->lag = metric_histogram("mcpbus_loop_lag_seconds", NULL,
                                    "How late the loop is, looked at once a second.");
    observe->due_us = metric_now_us() + (int64_t)LAG_MS * 1000;
    observe->timer = loop_timer_new(observe->loop, on_timer, observe);
    loop_timer_start(observe->timer, LAG_MS);
    metrics_on_write(on_write, observe);
}

/* A base URL: a path goes behind it, and the client takes none with a user in it. */
static bool endpoint_is_good(const char *endpoint)
{
    struct http_url url;
    return http_url_parse(endpoint, &url) == ERR_OK && !*url.query && !url.has_fragment;
}

static enum err begin_spans(struct service_observe *observe,
                            const struct service_observe_options *options)
{
    char id[CRYPTO_UUID_SIZE];
    struct otlp_options otlp = {.loop = options->loop,
                                .endpoint = options->endpoint,
                                .headers = options->headers,
                                .instance = id,
                                .version = MCPBUS_VERSION,
                                .http = options->http};
    AUTOFREE char *service =
        mem_printf("%s-%s", options->service ? options->service : "mcpbus", options->name);
    otlp.service = service;
    crypto_uuid4(id);
    if (!span_sampler_read(options->sampler ? options->sampler : "parentbased_always_on",
                           options->sampler_arg, &otlp.sampler)) {
        fprintf(stderr, "mcpbus-%s: OTEL_TRACES_SAMPLER_ARG takes a number from 0 to 1\n",
                options->name);
        return ERR_INVALID;
    }
    if (options->endpoint && !endpoint_is_good(options->endpoint)) {
        fprintf(stderr,
                "mcpbus-%s: OTEL_EXPORTER_OTLP_ENDPOINT takes a base URL without user, query and "
                "fragment; OTEL_EXPORTER_OTLP_HEADERS is for what signs in\n",
                options->name);
        return ERR_INVALID;
    }
    if (!options->endpoint || otlp_new(&otlp, &observe->otlp) == ERR_OK)
        return ERR_OK;
    fprintf(stderr, "mcpbus-%s: OTEL_EXPORTER_OTLP_HEADERS takes name=value, several with commas\n",
            options->name);
    return ERR_INVALID;
}

enum err service_observe_new(const struct service_observe_options *options,
                             struct service_observe **ret_observe)
{
    struct service_observe *observe = mem_alloc(sizeof *observe);
    observe->loop = options->loop;
    enum err err = begin_spans(observe, options);
    if (err) {
        free(observe);
        return err;
    }
    begin_metrics(observe, options->name);
    *ret_observe = observe;
    return ERR_OK;
}

void service_observe_destroy(struct service_observe **observe_p)
{
    struct service_observe *observe = *observe_p;
    if (!observe)
        return;
    *observe_p = NULL;
    metrics_off_write(on_write, observe);
    otlp_destroy(&observe->otlp, FLUSH_MS);
    loop_timer_destroy(&observe->timer);
    free(observe);
}
