#include "services/monitor/monitor.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "services/http_listen.h"

enum {
    BODY_MAX = 64 * 1024,
    CONNECTIONS_MAX = 1000,
    RECEIVE_TIMEOUT_MS = 15 * 1000,
    ANSWER_TIMEOUT_MS = 30 * 1000,
    ABSENT_TIMEOUT_MS = 300,
    SWEEP_MS = 5000,
    SERVICE_SIZE = 65,
};

static bool on_headers(void *arg, struct http_request *request)
{
    struct monitor *monitor = arg;
    size_t row;
    struct call *call = call_new(monitor, request);
    if (!http_routes_find(&route_table, request, &row, call->param))
        return false;
    call->route = &routes[row];
    return call->route->open || login_allows(monitor->login, request, &call->who);
}

static void on_request(void *arg, struct http_request *request)
{
    (void)arg;
    struct call *call = http_request_data(request);
    call->route->handler(call);
}

static void decorate(void *arg, const struct http_request *request, int status,
                     struct http_response *response)
{
    const struct monitor *monitor = arg;
    (void)status;
    login_decorate(monitor->login, request, response);
}

static enum err listen_http(struct monitor *monitor)
{
    const struct settings *settings = monitor->settings;
    struct http_server_options options = {.address = settings->monitor_address,
                                          .port = (int)settings->monitor_port,
                                          .body_max = BODY_MAX,
                                          .connections_max = CONNECTIONS_MAX,
                                          .streams_max = 1,
                                          .receive_timeout_ms = RECEIVE_TIMEOUT_MS,
                                          .answer_timeout_ms = ANSWER_TIMEOUT_MS,
                                          .on_headers = on_headers,
                                          .on_request = on_request,
                                          .decorate = decorate,
                                          .arg = monitor};
    return http_listen(monitor->loop, "MONITOR", options, &monitor->http);
}

/* What the table of settings can't judge, in the words that it uses. */
static bool settings_are_good(const struct settings *settings)
{
    struct in6_addr address;
    if (inet_pton(AF_INET, settings->monitor_address, &address) == 1 ||
        inet_pton(AF_INET6, settings->monitor_address, &address) == 1)
        return true;
    fprintf(stderr, "mcpbus-monitor: MONITOR_ADDRESS takes an IP address, not \"%.100s\"\n",
            settings->monitor_address);
    return false;
}

static int64_t bus_now(void *arg)
{
    return loop_now(((struct monitor *)arg)->loop);
}

/* Whom nobody knows is not waited for. */
static int64_t time_for(const struct monitor *monitor, const char *method, int64_t timeout_ms)
{
    char service[SERVICE_SIZE];
    uint64_t instance;
    snprintf(service, sizeof(service), "%.*s", (int)strcspn(method, "."), method);
    bool known = bus_connected(monitor->bus) && bus_peers(monitor->bus, service, &instance, 1) > 0;
    return known || timeout_ms < ABSENT_TIMEOUT_MS ? timeout_ms : ABSENT_TIMEOUT_MS;
}

static uint64_t bus_ask(void *arg, const char *method, json_t *args, int64_t timeout_ms,
                        bus_answer_fn *done, void *done_arg)
{
    struct monitor *monitor = arg;
    metric_add(monitor->asked, 1);
    return bus_call(monitor->bus,
                    (struct bus_request){.method = method,
                                         .args = args,
                                         .timeout_ms = time_for(monitor, method, timeout_ms),
                                         .idempotent = true},
                    done, done_arg);
}

static void bus_give_up(void *arg, uint64_t id)
{
    bus_cancel(((struct monitor *)arg)->bus, id);
}

static void on_settled(void *arg)
{
    call_fleet_settled(arg);
}

static void on_sweep(void *arg)
{
    struct monitor *monitor = arg;
    answers_sweep(monitor->answers);
    loop_timer_start(monitor->sweep, SWEEP_MS);
}

static void begin(struct monitor *monitor)
{
    struct answers_options options = {
        .now = bus_now, .ask = bus_ask, .give_up = bus_give_up, .arg = monitor};
    monitor->asked = metric_counter("mcpbus_monitor_questions_total", NULL,
                                    "Questions that were put to the bus for viewers");
    monitor->answers = answers_new(&options);
    monitor->fleet = fleet_new(monitor->loop, monitor->bus);
    fleet_on_settled(monitor->fleet, on_settled, monitor);
    monitor->sweep = loop_timer_new(monitor->loop, on_sweep, monitor);
    loop_timer_start(monitor->sweep, SWEEP_MS);
}

enum err monitor_start(struct service *service)
{
    if (!settings_are_good(service->settings))
        return ERR_INVALID;
    struct monitor *monitor = mem_alloc(sizeof(*monitor));
    service->state = monitor;
    monitor->loop = service->loop;
    monitor->bus = service->bus;
    monitor->settings = service->settings;
    begin(monitor);
    enum err err = login_start(service, &monitor->login);
    if (!err)
        err = listen_http(monitor);
    if (err)
        monitor_stop(service);
    return err;
}

void monitor_drain(struct service *service)
{
    struct monitor *monitor = service->state;
    http_server_quiesce(monitor->http);
}

bool monitor_drained(struct service *service)
{
    struct monitor *monitor = service->state;
    return http_server_is_quiet(monitor->http);
}

void monitor_stop(struct service *service)
{
    struct monitor *monitor = service->state;
    login_destroy(&monitor->login);
    http_server_destroy(&monitor->http);
    answers_destroy(&monitor->answers);
    fleet_destroy(&monitor->fleet);
    loop_timer_destroy(&monitor->sweep);
    service->state = NULL;
    free(monitor);
}
