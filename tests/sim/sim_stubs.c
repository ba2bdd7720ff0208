/* What the services reach and the simulation has no use for, and the sources of chance and time. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/crypto.h"
#include "libcommon/http_client.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "services/jobs/jobs.h"
#include "services/worker/mcp_config.h"
#include "services/worker/model.h"
#include "tests/sim/sim.h"

int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time);
ssize_t __wrap_getrandom(void *bytes, size_t len, unsigned flags);
int __wrap_gethostname(char *name, size_t len);
uint64_t __wrap_crypto_random_u64(void);
void __wrap_crypto_random(void *ret_bytes, size_t len);
void __wrap_crypto_uuid4(char ret_uuid[CRYPTO_UUID_SIZE]);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time)
{
    (void)id;
    int64_t us = sim.now + (sim.current ? sim.current->clock_offset_ms * SIM_MS : 0);
    ret_time->tv_sec = us / SIM_SECOND;
    ret_time->tv_nsec = us % SIM_SECOND * 1000;
    return 0;
}

ssize_t __wrap_getrandom(void *bytes, size_t len, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = sim_random();
        memcpy((char *)bytes + i, &word, len - i < 8 ? len - i : 8);
    }
    return (ssize_t)len;
}

int __wrap_gethostname(char *name, size_t len)
{
    snprintf(name, len, "sim");
    return 0;
}

uint64_t __wrap_crypto_random_u64(void)
{
    return sim_random();
}

void __wrap_crypto_random(void *ret_bytes, size_t len)
{
    __wrap_getrandom(ret_bytes, len, 0);
}

void __wrap_crypto_uuid4(char ret_uuid[CRYPTO_UUID_SIZE])
{
    snprintf(ret_uuid, CRYPTO_UUID_SIZE, "%08x-0000-4000-8000-%012llx", (unsigned)sim_random(),
             (unsigned long long)sim_random() >> 16);
}

void log_setup(const char *service, enum log_level level, enum log_format format)
{
    (void)service;
    (void)level;
    (void)format;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    char line[768];
    int len = snprintf(line, sizeof line, "%s%s", level >= LOG_LEVEL_WARNING ? "! " : "", event);
    if (!sim.tracing)
        return;
    for (; fields->key && len < 512; fields++)
        len += fields->kind == LOG_FIELD_INT
                   ? snprintf(line + len, 128, " %s=%lld", fields->key, (long long)fields->integer)
                   : snprintf(line + len, 128, " %s=%.80s", fields->key,
                              fields->string ? fields->string : "");
    sim_trace("%s", line);
}

bool log_enabled(enum log_level level)
{
    (void)level;
    return true;
}

/* The registry lives as long as the process, instances do not. */
struct metric *metric_counter(const char *name, const char *labels, const char *help)
{
    (void)name;
    (void)labels;
    (void)help;
    return NULL;
}

struct metric *metric_gauge(const char *name, const char *labels, const char *help)
{
    return metric_counter(name, labels, help);
}

struct metric *metric_histogram(const char *name, const char *labels, const char *help)
{
    return metric_counter(name, labels, help);
}

void metric_observe_ms(struct metric *metric, double ms)
{
    (void)metric;
    (void)ms;
}

void metric_observe_since(struct metric *metric, int64_t start_us)
{
    metric_add(metric, start_us);
}

int64_t metric_now_us(void)
{
    return 0;
}

void metric_set_seconds(struct metric *metric, double seconds)
{
    metric_observe_ms(metric, seconds);
}

void metrics_on_write(void (*fn)(void *arg), void *arg)
{
    (void)fn;
    (void)arg;
}

void metrics_off_write(void (*fn)(void *arg), void *arg)
{
    metrics_on_write(fn, arg);
}

void metric_add(struct metric *metric, int64_t n)
{
    (void)metric;
    (void)n;
}

void metric_set(struct metric *metric, int64_t value)
{
    metric_add(metric, value);
}

/* No run here asks the model or has tools. */
enum err model_check_settings(const struct settings *settings, char ret_why[MODEL_CONFIG_WHY_SIZE])
{
    (void)settings;
    (void)ret_why;
    return ERR_OK;
}

struct model *model_new(struct loop *loop, const struct settings *settings)
{
    (void)loop;
    (void)settings;
    return NULL;
}

void model_destroy(struct model **model_p)
{
    (void)model_p;
}

struct model_call *model_ask(struct model *model, const json_t *request, int64_t timeout_ms,
                             model_done_fn *done, void *arg)
{
    (void)model;
    (void)request;
    (void)timeout_ms;
    (void)done;
    (void)arg;
    sim_fail("a run asks the model");
    return NULL;
}

void model_cancel(struct model_call **call_p)
{
    (void)call_p;
}

enum err mcp_config_parse(const char *text, size_t len, mcp_lookup_fn *lookup, void *arg,
                          struct mcp_config **ret_config, char ret_why[MCP_WHY_SIZE])
{
    (void)text;
    (void)len;
    (void)lookup;
    (void)arg;
    (void)ret_why;
    *ret_config = mem_alloc(1);
    return ERR_OK;
}

void mcp_config_destroy(struct mcp_config **config_p)
{
    free(*config_p);
    *config_p = NULL;
}

char *mcp_config_default(const char *command, const char *const *more)
{
    (void)command;
    (void)more;
    return mem_strdup("{}");
}

size_t mcp_config_count(const struct mcp_config *config)
{
    (void)config;
    return 0;
}

bool mcp_config_needs_google(const struct mcp_config *config)
{
    (void)config;
    return false;
}

json_t *mcp_config_servers(const struct mcp_config *config, const struct mcp_user *user,
                           const char *why_no_google, mcp_lookup_fn *lookup, void *arg)
{
    (void)config;
    (void)user;
    (void)why_no_google;
    (void)lookup;
    (void)arg;
    return json_array();
}

json_t *mcp_config_env_names(const struct mcp_config *config)
{
    (void)config;
    return json_array();
}

bool http_proxy_is_valid(const char *proxy)
{
    (void)proxy;
    return true;
}

/* No history here has a callback_url. */
enum err webhooks_new(struct jobs *jobs, struct webhooks **ret_webhooks)
{
    (void)jobs;
    *ret_webhooks = NULL;
    return ERR_OK;
}

bool webhooks_configured(const struct webhooks *webhooks)
{
    (void)webhooks;
    return false;
}

bool webhooks_drain(struct webhooks *webhooks)
{
    (void)webhooks;
    return true;
}

void webhooks_destroy(struct webhooks **webhooks_p)
{
    (void)webhooks_p;
}
