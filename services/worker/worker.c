#include "services/worker/worker.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/http_client.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "services/outside.h"
#include "services/settings.h"
#include "libcommon/clock.h"
#include "services/worker/agent_config.h"
#include "services/worker/runs.h"
#include "services/worker/session.h"

enum { CONFIG_MAX = 1 << 20, FINISH_MS = 3000 };

struct worker {
    const struct settings *settings;
    struct zygote *zygote; /* these three NULL in echo mode */
    struct model *model;
    struct mcp_config *config;
    json_t *agent; /* see agent_config.h */
    struct runs *runs;
    struct session *session;
    int64_t release_at; /* while draining: when what runs is stopped */
};

static bool is_echo(const struct settings *settings)
{
    return strcmp(settings->worker_runner, "echo") == 0;
}

static const char *text_setting(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *setting = &settings_table[i];
        if (strcmp(setting->name, name) != 0 || setting->type == SETTING_INT ||
            setting->type == SETTING_OBSOLETE)
            continue;
        const char *text;
        memcpy(&text, (const char *)settings + setting->offset, sizeof text);
        return text;
    }
    return NULL;
}

/* The environment, and what the .env file or a default gives in its place. */
static const char *lookup(void *arg, const char *name)
{
    const char *text = getenv(name);
    return text ? text : text_setting(arg, name);
}

/* Tool servers have the worker's user id: with its key they could join the bus in its place. The
 * folder is covered whole, for a file that is replaced, as on a rotation, would lose its cover. */
static void cover_keys(const struct settings *settings)
{
    const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (settings->bus_keys)
        mount("none", settings->bus_keys, "tmpfs", flags, "size=4k,mode=555");
    if (settings->bus_key)
        mount("/dev/null", settings->bus_key, NULL, MS_BIND, NULL);
}

/* In the zygote: /proc/PID/environ shows the very bytes that are overwritten here. */
static void wipe(void *arg, bool own_mounts)
{
    const struct settings *settings = arg;
    if (own_mounts)
        cover_keys(settings);
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *setting = &settings_table[i];
        char *text;
        if (setting->type != SETTING_SECRET)
            continue;
        memcpy(&text, (const char *)settings + setting->offset, sizeof text);
        if (text)
            explicit_bzero(text, strlen(text));
    }
    for (char **text = environ; text && *text; text++)
        explicit_bzero(*text, strlen(*text));
    clearenv();
}

static void note_runs(const char *labels, size_t count)
{
    metric_set(metric_gauge("mcpbus_worker_runs", labels, "Runs of this worker, by state."),
               (int64_t)count);
}

static void on_write(void *arg)
{
    const struct worker *worker = arg;
    struct runs_load load = runs_load(worker->runs);
    note_runs("state=\"waiting\"", load.waiting);
    note_runs("state=\"working\"", load.working);
    note_runs("state=\"finishing\"", load.finishing);
    metric_set(metric_gauge("mcpbus_worker_capacity", NULL, "Runs at once that it takes."),
               worker->settings->worker_concurrency);
    metric_set(metric_gauge("mcpbus_worker_draining", NULL,
                            "1 when its operator has drained it: it takes no runs."),
               session_is_draining(worker->session));
}

void worker_stop(struct service *service)
{
    struct worker *worker = service->state;
    metrics_off_write(on_write, worker);
    zygote_destroy(&worker->zygote); /* first: no run outlives the worker's word for it */
    session_destroy(&worker->session);
    runs_destroy(&worker->runs);
    model_destroy(&worker->model);
    mcp_config_destroy(&worker->config);
    json_decref(worker->agent);
    worker->agent = NULL;
    free(worker);
    service->state = NULL;
}

enum err worker_early(struct service *service)
{
    struct worker *worker = mem_alloc(sizeof *worker);
    worker->settings = service->settings;
    service->state = worker;
    if (is_echo(worker->settings))
        return ERR_OK;
    if (!worker->settings->openai_api_key) {
        fprintf(stderr, "mcpbus-worker: OPENAI_API_KEY is not set (key of the model's endpoint)\n");
        worker_stop(service);
        return ERR_INVALID;
    }
    enum err err = zygote_fork(true, wipe, (void *)worker->settings, &worker->zygote);
    if (err) {
        log_error("zygote_not_started", LOG_S("error", strerror(errno)));
        worker_stop(service);
    }
    return err;
}

static enum err read_file(const char *path, struct buf *text)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        fprintf(stderr, "mcpbus-worker: MCP_CONFIG: %s: %s\n", path, strerror(errno));
        return ERR_INVALID;
    }
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_add(text, chunk, n);
    fclose(file);
    return buf_check(text);
}

/* mcpbus-google lies beside this program. */
static char *default_config(const struct settings *settings)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    path[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(path, '/');
    AUTOFREE char *command =
        mem_printf("%.*smcpbus-google", slash ? (int)(slash - path + 1) : 0, path);
    const struct {
        const char *name, *value;
    } all[] = {{"GOOGLE_API_BASE", settings->google_api_base},
               {"GOOGLE_TOKEN_URI", settings->google_token_uri},
               {"DRIVE_UPLOAD_DIR", settings->drive_upload_dir},
               {"HTTPS_PROXY", settings->https_proxy},
               {"NO_PROXY", settings->no_proxy},
               {"CA_BUNDLE", settings->ca_bundle}};
    enum { COUNT = sizeof all / sizeof *all };
    const char *set[COUNT + 1] = {NULL};
    for (size_t i = 0, n = 0; i < COUNT; i++)
        if (all[i].value)
            set[n++] = all[i].name;
    return mcp_config_default(command, set);
}

static enum err read_config(struct worker *worker)
{
    const char *path = worker->settings->mcp_config;
    char why[MCP_WHY_SIZE] = "";
    struct buf text;
    buf_init(&text, CONFIG_MAX);
    enum err err = ERR_OK;
    if (path) {
        err = read_file(path, &text);
    } else {
        AUTOFREE char *json = default_config(worker->settings);
        buf_add_str(&text, json);
    }
    if (!err) {
        err = mcp_config_parse(buf_text(&text), text.len, lookup, (void *)worker->settings,
                               &worker->config, why);
        if (err)
            fprintf(stderr, "mcpbus-worker: MCP_CONFIG: %s: %s\n",
                    path ? path : "(unset: mcpbus-google)", why);
    }
    buf_fini(&text);
    return err;
}

static enum err read_agent_config(struct worker *worker)
{
    char why[AGENT_CONFIG_WHY_SIZE] = "";
    enum err err = agent_config_load(worker->settings, &worker->agent, why);
    if (err)
        fprintf(stderr, "mcpbus-worker: %s\n", why);
    return err;
}

static json_t *on_envelope(void *arg, uint64_t instance, bool with_offer)
{
    struct worker *worker = arg;
    const char *id = session_id(worker->session);
    if (!id)
        return NULL;
    json_t *envelope = json_pack("{s:s}", "session", id);
    json_t *offer = with_offer && instance ? session_offer(worker->session, instance) : NULL;
    if (offer)
        json_object_set_new(envelope, "offer", offer);
    return envelope;
}

static void on_slots_changed(void *arg)
{
    struct worker *worker = arg;
    if (worker->session)
        session_slots_changed(worker->session);
}

/* The session ends at once, so that others take the runs; the supervisor starts a new worker. */
static void on_broken(void *arg)
{
    struct worker *worker = arg;
    if (worker->session)
        session_close(worker->session);
    raise(SIGTERM);
}

static json_t *on_held(void *arg)
{
    return runs_held(((struct worker *)arg)->runs);
}

static unsigned on_free_slots(void *arg)
{
    return runs_free_slots(((struct worker *)arg)->runs);
}

static void on_leased(void *arg, int64_t until)
{
    struct worker *worker = arg;
    runs_leased(worker->runs, until);
    if (worker->zygote)
        zygote_lease(worker->zygote, until);
}

static void on_renewed(void *arg, const json_t *held, int64_t sent_at)
{
    runs_reconcile(((struct worker *)arg)->runs, held, sent_at);
}

static void on_lost(void *arg)
{
    struct worker *worker = arg;
    runs_kill_all(worker->runs);
    if (worker->zygote)
        zygote_lease(worker->zygote, 0);
}

static void log_isolation(const struct zygote *zygote)
{
    const char *why;
    if (zygote_isolated(zygote, &why))
        log_info("isolation", LOG_S("mode", "pid_namespace"),
                 LOG_S("note", "tool servers run under the worker's own user id"));
    else
        log_warning("isolation", LOG_S("mode", "none"), LOG_S("reason", why),
                    LOG_S("note", "a tool server can read another's environment in /proc"));
}

/* What the table of settings can't judge, in the words that it uses. */
static enum err check_settings(const struct settings *settings)
{
    if (!outside_settings_are_good("mcpbus-worker", settings))
        return ERR_INVALID;
    char why[MODEL_CONFIG_WHY_SIZE];
    enum err err = model_check_settings(settings, why);
    if (err)
        fprintf(stderr, "mcpbus-worker: %s\n", why);
    return err;
}

enum err worker_start(struct service *service)
{
    struct worker *worker = service->state;
    if (worker->zygote) {
        enum err err = check_settings(worker->settings);
        if (!err)
            err = read_agent_config(worker);
        if (!err)
            err = read_config(worker);
        if (err) {
            worker_stop(service);
            return err;
        }
        worker->model = model_new(service->loop, worker->settings);
        log_info("mcp_servers", LOG_I("count", mcp_config_count(worker->config)));
        log_isolation(worker->zygote);
    }
    struct runs_options runs = {
        .loop = service->loop,
        .bus = service->bus,
        .settings = worker->settings,
        .zygote = worker->zygote,
        .model = worker->model,
        .config = worker->config,
        .agent = worker->agent,
        .lookup = lookup,
        .lookup_arg = (void *)worker->settings,
        .envelope = on_envelope,
        .slots_changed = on_slots_changed,
        .broken = on_broken,
        .arg = worker,
    };
    worker->runs = runs_new(&runs);
    struct session_options session = {
        .loop = service->loop,
        .bus = service->bus,
        .capacity = (unsigned)worker->settings->worker_concurrency,
        .held = on_held,
        .free_slots = on_free_slots,
        .leased = on_leased,
        .renewed = on_renewed,
        .lost = on_lost,
        .arg = worker,
    };
    worker->session = session_new(&session);
    metrics_on_write(on_write, worker);
    return ERR_OK;
}

const char *worker_problem(struct service *service)
{
    const struct worker *worker = service->state;
    if (session_is_draining(worker->session))
        return "drained by its operator";
    return session_id(worker->session) ? NULL : "no session with the jobs service";
}

void worker_drain(struct service *service)
{
    struct worker *worker = service->state;
    worker->release_at = clock_ms() + FINISH_MS;
    runs_release(worker->runs, false);
}

bool worker_drained(struct service *service)
{
    struct worker *worker = service->state;
    if (clock_ms() >= worker->release_at)
        runs_release(worker->runs, true);
    if (runs_count(worker->runs))
        return false;
    session_close(worker->session);
    return session_closed(worker->session);
}

void worker_on_run(void *arg, struct bus_call *call, json_t *args)
{
    struct worker *worker = ((struct service *)arg)->state;
    const char *id = session_id(worker->session);
    uint64_t from = 0;
    if (id && strcmp(js_str(args, "session", ""), id) == 0 &&
        bus_instance_parse(js_str(args, "from", ""), &from)) {
        size_t index;
        json_t *run;
        json_array_foreach(json_object_get(args, "runs"), index, run)
        {
            session_received(worker->session, from, js_int(run, "ordinal", 0));
            runs_take(worker->runs, from, run);
        }
    }
    bus_reply(&call, json_object());
}

void worker_on_cancel(void *arg, struct bus_call *call, json_t *args)
{
    struct worker *worker = ((struct service *)arg)->state;
    size_t index;
    json_t *job;
    json_array_foreach(json_object_get(args, "jobs"), index, job)
        runs_kill(worker->runs, js_str(job, "job_id", ""), js_int(job, "attempt", 0));
    bus_reply(&call, json_object());
}

void worker_on_watch(void *arg, struct bus_call *call, json_t *args)
{
    struct worker *worker = ((struct service *)arg)->state;
    runs_watch(worker->runs, js_str(args, "job_id", ""), js_str(args, "user_id", ""),
               bus_call_from(call), js_int(args, "next", 0));
    bus_reply(&call, json_object());
}

void worker_on_drain(void *arg, struct bus_call *call, json_t *args)
{
    struct worker *worker = ((struct service *)arg)->state;
    bool draining = !js_bool(args, "resume", false);
    if (draining != session_is_draining(worker->session))
        log_info(draining ? "drained_by_operator" : "resumed_by_operator",
                 LOG_I("running", runs_count(worker->runs)));
    session_set_draining(worker->session, draining);
    bus_reply(&call, json_pack("{s:b, s:I}", "draining", draining, "running",
                               (json_int_t)runs_count(worker->runs)));
}
