#include "services/gateway/gateway.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "services/http_listen.h"

enum {
    CONNECTIONS_MAX = 20000,
    STREAMS_MAX = 10000,
    RECEIVE_TIMEOUT_MS = 30 * 1000,
    ANSWER_TIMEOUT_MS = (WAIT_MAX_S + 15) * 1000,
    RATED_USERS_MAX = 100000,
    STRANGERS_MAX = 100000,
};

static bool answer_preflight(struct http_request *request)
{
    if (strcmp(http_request_method(request), "OPTIONS") != 0 ||
        !http_request_header(request, "Origin") ||
        !http_request_header(request, "Access-Control-Request-Method"))
        return false;
    static const struct http_header headers[] = {
        {"Access-Control-Allow-Methods", CORS_METHODS},
        {"Access-Control-Allow-Headers", CORS_HEADERS},
        {"Access-Control-Max-Age", CORS_MAX_AGE},
        {0},
    };
    http_respond(request, 204, NULL, NULL, 0, headers);
    return true;
}

static bool on_headers(void *arg, struct http_request *request)
{
    struct gateway *gateway = arg;
    size_t row;
    if (answer_preflight(request))
        return false;
    struct call *call = call_new(gateway, request);
    if (!http_routes_find(&route_table, request, &row, call->param))
        return false;
    call->route = &routes[row];
    if (!call->route->auth)
        return strncmp(call->route->http.pattern, "/auth/", strlen("/auth/")) != 0 ||
               strangers_pass(call);
    if (!tokens_authenticate(call))
        return false;
    if (rate_limit_take(gateway->rate_limit, call->user_id, loop_now(gateway->loop)))
        return true;
    call_busy(call, 429, "Rate limit exceeded", 1000);
    return false;
}

static void on_request(void *arg, struct http_request *request)
{
    (void)arg;
    struct call *call = http_request_data(request);
    if (call->route->auth)
        tokens_check_revoked(call);
    else
        call->route->handler(call);
}

/* RFC 6797: a browser that came by TLS shall never come without again. */
static bool came_by_tls(const struct gateway *gateway, const struct http_request *request)
{
    struct client client = {.https = false};
    const char *public_url = gateway->settings->public_url;
    if (public_url && strncmp(public_url, "https://", strlen("https://")) == 0)
        return true;
    if (gateway->proxies)
        client_of(gateway->proxies, request, &client);
    return client.https;
}

/* Jobs, results and tokens are no cache's business. */
static bool is_private(const struct call *call)
{
    return call && call->route &&
           (call->route->auth || strncmp(call->route->http.pattern, "/auth/", 6) == 0);
}

static void decorate(void *arg, const struct http_request *request, int status,
                     struct http_response *response)
{
    struct gateway *gateway = arg;
    const char *origin = http_request_header(request, "Origin");
    const char *allow = cors_allow(gateway->cors, origin);
    http_response_header(response, "X-Content-Type-Options", "nosniff");
    if (came_by_tls(gateway, request))
        http_response_header(response, "Strict-Transport-Security", "max-age=31536000");
    if (is_private(http_request_data(request)) && !http_response_has(response, "Cache-Control"))
        http_response_header(response, "Cache-Control", "no-store");
    if (origin && allow) {
        http_response_header(response, "Access-Control-Allow-Origin", allow);
        http_response_header(response, "Access-Control-Expose-Headers", CORS_EXPOSED);
    }
    if (cors_varies(gateway->cors))
        http_response_header(response, "Vary", "Origin");
    http_metrics_count(gateway->metrics, http_request_data(request), status);
    call_trace_end(http_request_data(request), request, status);
}

static void on_revocations(void *arg)
{
    struct gateway *gateway = arg;
    events_end_revoked(gateway->events);
}

static enum err listen_http(struct gateway *gateway)
{
    const struct settings *settings = gateway->settings;
    struct http_server_options options = {.address = settings->gateway_address,
                                          .port = (int)settings->gateway_port,
                                          .body_max = BODY_MAX,
                                          .connections_max = CONNECTIONS_MAX,
                                          .streams_max = STREAMS_MAX,
                                          .receive_timeout_ms = RECEIVE_TIMEOUT_MS,
                                          .answer_timeout_ms = ANSWER_TIMEOUT_MS,
                                          .on_headers = on_headers,
                                          .on_request = on_request,
                                          .decorate = decorate,
                                          .arg = gateway,
                                          .stream_suffix = "/events"};
    return http_listen(gateway->loop, "GATEWAY", options, &gateway->http);
}

/* What the table of settings can't judge, in the words that it uses. */
static bool settings_are_good(const struct settings *settings)
{
    struct in6_addr address;
    if (!cors_is_valid(settings->cors_origins)) {
        fprintf(stderr,
                "mcpbus-gateway: CORS_ORIGINS takes * or origins like https://host:port, with "
                "commas, not \"%.100s\"\n",
                settings->cors_origins);
        return false;
    }
    if (inet_pton(AF_INET, settings->gateway_address, &address) != 1 &&
        inet_pton(AF_INET6, settings->gateway_address, &address) != 1) {
        fprintf(stderr, "mcpbus-gateway: GATEWAY_ADDRESS takes an IP address, not \"%.100s\"\n",
                settings->gateway_address);
        return false;
    }
    return true;
}

static bool reads_forwarded(const struct settings *settings)
{
    return strcmp(settings->trusted_proxy_header, "forwarded") == 0;
}

enum err gateway_start(struct service *service)
{
    const struct settings *settings = service->settings;
    struct proxies *proxies = NULL;
    if (!settings_are_good(settings))
        return ERR_INVALID;
    if (proxies_new(settings->trusted_proxies, reads_forwarded(settings), &proxies)) {
        fprintf(stderr,
                "mcpbus-gateway: TRUSTED_PROXIES takes IP addresses and networks like 10.0.0.0/8, "
                "with commas, not \"%.100s\"\n",
                settings->trusted_proxies);
        return ERR_INVALID;
    }
    struct gateway *gateway = mem_alloc(sizeof(*gateway));
    gateway->proxies = proxies;
    service->state = gateway;
    gateway->loop = service->loop;
    gateway->bus = service->bus;
    gateway->settings = settings;
    gateway->cors = cors_new(gateway->settings->cors_origins);
    gateway->rate_limit = rate_limit_new(gateway->settings->rate_limit, RATED_USERS_MAX);
    gateway->stranger_limit = rate_limit_new(settings->stranger_rate_limit, STRANGERS_MAX);
    gateway->identities = identities_new(settings->jwt_secret, settings->jwt_secret_previous);
    gateway->metrics = http_metrics_new();
    gateway->watches = watches_new();
    gateway->submit = submit_new(gateway);
    gateway->events = events_new(gateway);
    gateway->partials = partials_new(gateway);
    gateway->health = health_new(gateway);
    gateway->revocations = revocations_new(gateway->loop, gateway->bus, on_revocations, gateway);
    enum err err = listen_http(gateway);
    gateway->lookups = lookups_new(gateway->loop, gateway->bus);
    metrics_on_write(gateway_gauges, gateway);
    if (err)
        gateway_stop(service);
    return err;
}

void gateway_drain(struct service *service)
{
    struct gateway *gateway = service->state;
    gateway->draining = true;
    http_server_quiesce(gateway->http);
    events_end_all(gateway->events);
    watches_notify_all(gateway->watches);
}

bool gateway_drained(struct service *service)
{
    struct gateway *gateway = service->state;
    return http_server_is_quiet(gateway->http);
}

void gateway_stop(struct service *service)
{
    struct gateway *gateway = service->state;
    service->state = NULL;
    metrics_off_write(gateway_gauges, gateway);
    http_server_destroy(&gateway->http);
    revocations_destroy(&gateway->revocations);
    health_destroy(&gateway->health);
    events_destroy(&gateway->events);
    partials_destroy(&gateway->partials);
    submit_destroy(&gateway->submit);
    lookups_destroy(&gateway->lookups);
    watches_destroy(&gateway->watches);
    http_metrics_destroy(&gateway->metrics);
    identities_destroy(&gateway->identities);
    rate_limit_destroy(&gateway->rate_limit);
    rate_limit_destroy(&gateway->stranger_limit);
    proxies_destroy(&gateway->proxies);
    cors_destroy(&gateway->cors);
    free(gateway);
}

void gateway_jobs_changed(void *arg, struct bus_call *call, json_t *args)
{
    struct gateway *gateway = ((struct service *)arg)->state;
    size_t i;
    json_t *id;
    json_array_foreach(json_object_get(args, "ids"), i, id)
    {
        if (gateway && json_is_string(id))
            watches_notify(gateway->watches, json_string_value(id));
    }
    bus_reply(&call, json_object());
}

void gateway_revoked(void *arg, struct bus_call *call, json_t *args)
{
    (void)args;
    struct gateway *gateway = ((struct service *)arg)->state;
    if (gateway)
        revocations_hint(gateway->revocations);
    bus_reply(&call, json_object());
}
