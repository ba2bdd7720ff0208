#include "libcommon/service.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/harden.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "libcommon/service_about.h"
#include "libcommon/service_health.h"
#include "libcommon/service_observe.h"
#include "libcommon/service_trouble.h"

enum { DRAIN_DEFAULT_MS = 5000, DRAIN_TICK_MS = 5, NOTICES_MAX = 32 };

struct runtime {
    const struct service_def *def;
    struct service service;
    char *endpoints;
    struct bus_method *methods;
    bool stopping;
    int64_t drain_end;
    struct loop_timer *drain_timer;
    struct service_health *health; /* NULL without HEALTH_PORT */
    struct service_observe *observe;
    struct service_trouble *trouble;
};

static void print_help(const struct service_def *def)
{
    printf("mcpbus-%s: %s\n\nUsage: mcpbus-%s [--env-file FILE] [--help] [--version]\n\n"
           "Settings, from the environment or the .env file:\n",
           def->name, def->summary, def->name);
    settings_print_help(def->settings, def->setting_count, stdout);
}

/* What to do with the arguments: −1 go on, else the process's exit status. */
static int read_arguments(const struct service_def *def, int argc, char **argv,
                          const char **ret_env_file)
{
    *ret_env_file = ".env";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(def);
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("mcpbus-%s %s\n", def->name, MCPBUS_VERSION);
            return 0;
        }
        if (strcmp(argv[i], "--env-file") == 0 && i + 1 < argc) {
            *ret_env_file = argv[++i];
            continue;
        }
        fprintf(stderr, "mcpbus-%s: unknown argument %.*s; try --help\n", def->name,
                (int)strcspn(argv[i], "="), argv[i]);
        return 2;
    }
    return -1;
}

/* What is to be said about the settings, until they have said how and what to log. */
static struct {
    char name[64], note[192];
} notices[NOTICES_MAX];
static unsigned notice_count; /* with those that found no place */

static void on_notice(const char *name, const char *what)
{
    if (notice_count < NOTICES_MAX) {
        snprintf(notices[notice_count].name, sizeof notices->name, "%s", name);
        snprintf(notices[notice_count].note, sizeof notices->note, "%s", what);
    }
    notice_count++;
}

static void log_notices(void)
{
    for (unsigned i = 0; i < notice_count && i < NOTICES_MAX; i++)
        log_warning("setting", LOG_S("name", notices[i].name), LOG_S("note", notices[i].note));
    if (notice_count > NOTICES_MAX)
        log_warning("settings_more", LOG_I("count", notice_count - NOTICES_MAX));
}

static const struct setting *find_setting(const struct service_def *def, const char *name)
{
    for (size_t i = 0; i < def->setting_count; i++)
        if (strcmp(def->settings[i].name, name) == 0)
            return &def->settings[i];
    return NULL;
}

static const char *text_setting(const struct service_def *def, const void *config, const char *name)
{
    const struct setting *s = find_setting(def, name);
    const char *value = NULL;
    if (s && s->type != SETTING_INT)
        memcpy(&value, (const char *)config + s->offset, sizeof value);
    return value;
}

static int64_t number_setting(const struct service_def *def, const void *config, const char *name)
{
    const struct setting *s = find_setting(def, name);
    int64_t value = 0;
    if (s && s->type == SETTING_INT)
        memcpy(&value, (const char *)config + s->offset, sizeof value);
    return value;
}

static void set_up_log(const struct service_def *def, const void *config)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    const char *level = text_setting(def, config, "LOG_LEVEL");
    const char *format = text_setting(def, config, "LOG_FORMAT");
    enum log_level at = LOG_LEVEL_INFO;
    for (size_t i = 0; level && i < sizeof names / sizeof *names; i++)
        if (strcmp(level, names[i]) == 0)
            at = (enum log_level)i;
    log_setup(def->name, at,
              format && strcmp(format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
}

static bool has_required(const struct service_def *def, const void *config)
{
    bool complete = true;
    for (const char *const *name = def->required; name && *name; name++) {
        if (text_setting(def, config, *name))
            continue;
        const struct setting *s = find_setting(def, *name);
        fprintf(stderr, "mcpbus-%s: %s is not set (%s)\n", def->name, *name, s ? s->help : "");
        complete = false;
    }
    return complete;
}

static bool load_settings(struct runtime *rt, const char *env_file)
{
    const struct service_def *def = rt->def;
    char why[SETTINGS_WHY_SIZE];
    void *config = mem_alloc(def->settings_size);
    rt->service.settings = config;
    log_setup(def->name, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    if (settings_load(def->settings, def->setting_count, env_file, config, on_notice, why) !=
        ERR_OK) {
        log_notices(); /* one may be the reason */
        fprintf(stderr, "mcpbus-%s: %s\n", def->name, why);
        return false;
    }
    set_up_log(def, config);
    log_notices();
    return has_required(def, config);
}

static void on_drain_tick(void *arg)
{
    struct runtime *rt = arg;
    const struct service_def *def = rt->def;
    bool idle = (!rt->service.bus || bus_active(rt->service.bus) == 0) &&
                (!def->drained || def->drained(&rt->service));
    if (idle || loop_now(rt->service.loop) >= rt->drain_end)
        loop_stop(rt->service.loop);
    else
        loop_timer_start(rt->drain_timer, DRAIN_TICK_MS);
}

static void on_signal(void *arg, int signo)
{
    struct runtime *rt = arg;
    if (signo == SIGHUP)
        return;
    if (rt->stopping) {
        loop_stop(rt->service.loop);
        return;
    }
    rt->stopping = true;
    service_trouble_destroy(&rt->trouble);
    log_info("stopping");
    if (rt->service.bus)
        bus_drain(rt->service.bus);
    if (rt->def->drain)
        rt->def->drain(&rt->service);
    rt->drain_end =
        loop_now(rt->service.loop) + (rt->def->drain_ms ? rt->def->drain_ms : DRAIN_DEFAULT_MS);
    loop_timer_start(rt->drain_timer, 1);
}

static void on_bus_trouble(void *arg, const char *endpoint, const char *what)
{
    (void)arg;
    log_error("bus_refused", LOG_S("endpoint", endpoint), LOG_S("reason", what));
}

char *service_key(const char *keys, const char *key, const char *role)
{
    return key ? mem_strdup(key) : mem_printf("%s/%s.key_secret", keys ? keys : ".", role);
}

/* Handlers get the service as their first argument. */
static enum err open_bus(struct runtime *rt)
{
    const struct service_def *def = rt->def;
    const void *settings = rt->service.settings;
    const char *endpoints = text_setting(def, settings, def->endpoints_setting);
    const char *security = text_setting(def, settings, "BUS_SECURITY");
    const char *keys = text_setting(def, settings, "BUS_KEYS");
    AUTOFREE char *key = service_key(keys, text_setting(def, settings, "BUS_KEY"), def->name);
    char why[BUS_WHY_SIZE] = "";
    rt->methods = service_about_methods(def);
    rt->service.started_at = loop_now(rt->service.loop);
    struct bus_options options = {.endpoints = endpoints ? endpoints : "",
                                  .service = def->name,
                                  .methods = rt->methods,
                                  .method_count = def->method_count + 1,
                                  .handler_arg = &rt->service,
                                  .credit = def->credit,
                                  .plain = security && strcmp(security, "plain") == 0,
                                  .keys = keys,
                                  .key = key,
                                  .trouble = on_bus_trouble,
                                  .measured = true,
                                  .why = why};
    enum err err = bus_new(rt->service.loop, &options, &rt->service.bus);
    if (err == ERR_DENIED)
        fprintf(stderr, "mcpbus-%s: BUS_SECURITY, BUS_KEYS: %s (mcpbus keygen makes keys)\n",
                def->name, why);
    else if (err)
        fprintf(stderr,
                "mcpbus-%s: %s takes tcp://HOST:PORT with a port from 1 to 65535, several with "
                "commas, not \"%.200s\"\n",
                def->name, def->endpoints_setting, options.endpoints);
    return err;
}

static const char *find_problem(void *arg)
{
    struct runtime *rt = arg;
    if (rt->stopping)
        return "draining";
    if (rt->service.bus && !bus_connected(rt->service.bus))
        return "no broker is connected";
    return rt->def->problem ? rt->def->problem(&rt->service) : NULL;
}

/* Words for the log: what is missing, and what to do about it. */
static bool find_trouble(void *arg, char ret_why[SERVICE_TROUBLE_SIZE])
{
    struct runtime *rt = arg;
    const struct service_def *def = rt->def;
    if (rt->service.bus && !bus_connected(rt->service.bus)) {
        snprintf(ret_why, SERVICE_TROUBLE_SIZE,
                 "no broker is connected: is one running at %.300s? %s says where they are",
                 text_setting(def, rt->service.settings, def->endpoints_setting),
                 def->endpoints_setting);
        return true;
    }
    const char *problem = def->problem && !def->says_problem ? def->problem(&rt->service) : NULL;
    const char *reason = problem && def->reason ? def->reason(&rt->service) : NULL;
    snprintf(ret_why, SERVICE_TROUBLE_SIZE, "%s%s%s", problem ? problem : "", reason ? ": " : "",
             reason ? reason : "");
    return problem != NULL;
}

static void note_ready(void *arg)
{
    metric_set(
        metric_gauge("mcpbus_ready", NULL, "1 when the service can do its work, as /readyz."),
        find_problem(arg) == NULL);
    const struct bus *bus = ((struct runtime *)arg)->service.bus;
    if (bus)
        metric_set(metric_gauge("mcpbus_bus_connected", NULL, "1 when a broker is connected."),
                   bus_connected(bus));
}

static enum err open_health(struct runtime *rt)
{
    const struct service_def *def = rt->def;
    const char *address = text_setting(def, rt->service.settings, "HEALTH_ADDRESS");
    int64_t port = number_setting(def, rt->service.settings, "HEALTH_PORT");
    if (!port)
        return ERR_OK;
    struct service_health_options options = {.loop = rt->service.loop,
                                             .address = address,
                                             .port = (int)port,
                                             .problem = find_problem,
                                             .arg = rt};
    enum err err = service_health_new(&options, &rt->health);
    if (err)
        fprintf(stderr, "mcpbus-%s: %s\n", def->name,
                err == ERR_CONFLICT
                    ? "HEALTH_PORT takes a free port, not one that is taken: set another"
                    : "HEALTH_ADDRESS takes an IP address of this machine");
    return err;
}

static enum err open_observe(struct runtime *rt)
{
    const struct service_def *def = rt->def;
    const void *settings = rt->service.settings;
    struct service_observe_options options = {
        .loop = rt->service.loop,
        .name = def->name,
        .endpoint = text_setting(def, settings, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        .headers = text_setting(def, settings, "OTEL_EXPORTER_OTLP_HEADERS"),
        .service = text_setting(def, settings, "OTEL_SERVICE_NAME"),
        .sampler = text_setting(def, settings, "OTEL_TRACES_SAMPLER"),
        .sampler_arg = text_setting(def, settings, "OTEL_TRACES_SAMPLER_ARG"),
        .http = {.proxy = text_setting(def, settings, "HTTPS_PROXY"),
                 .no_proxy = text_setting(def, settings, "NO_PROXY"),
                 .ca_bundle = text_setting(def, settings, "CA_BUNDLE"),
                 .connections_max = 2}};
    return service_observe_new(&options, &rt->observe);
}

/* A sanitizer looks for leaks from a process of its own. */
static bool may_dump(const struct runtime *rt)
{
#ifdef __SANITIZE_ADDRESS__
    (void)rt;
    return true;
#else
    const char *dumps = text_setting(rt->def, rt->service.settings, "CORE_DUMPS");
    return dumps && strcmp(dumps, "on") == 0;
#endif
}

/* Nobody may ask the service any more, while the end of its bus runs the loop. */
static void stop(struct runtime *rt)
{
    rt->stopping = true;
    loop_timer_stop(rt->drain_timer);
    service_trouble_destroy(&rt->trouble);
    metrics_off_write(note_ready, rt);
    rt->def->stop(&rt->service);
    log_info("stopped");
}

static int run(struct runtime *rt)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, 0};
    const struct service_def *def = rt->def;
    signal(SIGPIPE, SIG_IGN);
    if (!def->privileged)
        harden(may_dump(rt));
    if (def->early && def->early(&rt->service) != ERR_OK)
        return 1;
    rt->service.loop = loop_new();
    loop_signals(rt->service.loop, signals, on_signal, rt);
    rt->drain_timer = loop_timer_new(rt->service.loop, on_drain_tick, rt);
    int status = 1;
    if (open_observe(rt) == ERR_OK && open_health(rt) == ERR_OK &&
        (def->off_bus || open_bus(rt) == ERR_OK)) {
        if (def->start(&rt->service) == ERR_OK) {
            log_info("started", LOG_S("version", MCPBUS_VERSION));
            metrics_on_write(note_ready, rt);
            rt->trouble = service_trouble_new(rt->service.loop, find_trouble, rt);
            loop_run(rt->service.loop);
            stop(rt);
            status = 0;
        }
        bus_destroy(&rt->service.bus);
    } else if (def->early) {
        def->stop(&rt->service);
    }
    free(rt->methods);
    service_observe_destroy(&rt->observe);
    service_health_destroy(&rt->health);
    loop_timer_destroy(&rt->drain_timer);
    loop_destroy(&rt->service.loop);
    return status;
}

/* Texts of the settings live as long as the process; freed here so that a leak checker sees only
 * real leaks. */
static void free_settings(struct runtime *rt)
{
    for (size_t i = 0; i < rt->def->setting_count; i++) {
        const struct setting *s = &rt->def->settings[i];
        char *value = NULL;
        if (s->type == SETTING_INT)
            continue;
        memcpy(&value, (const char *)rt->service.settings + s->offset, sizeof value);
        mem_free_secret(&value);
    }
    free((void *)rt->service.settings);
}

int service_main(const struct service_def *def, int argc, char **argv)
{
    struct runtime rt = {.def = def, .service.def = def};
    const char *env_file = NULL;
    int status = read_arguments(def, argc, argv, &env_file);
    if (status >= 0)
        return status;
    status = load_settings(&rt, env_file) ? run(&rt) : 1;
    free_settings(&rt);
    return status;
}
