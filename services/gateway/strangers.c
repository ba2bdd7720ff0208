/* Those without a good token: limited by their address, and sent back to where they came from. */
#include <string.h>

#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/gateway/gateway.h"

enum { HOST_MAX = 255, SAID_EVERY_MS = 60 * 1000 };

bool strangers_pass(struct call *call)
{
    struct gateway *gateway = call->gateway;
    struct client client;
    char network[CLIENT_ADDRESS_SIZE];
    int64_t now = loop_now(gateway->loop);
    client_of(gateway->proxies, call_request(call), &client);
    client_network(client.address, network);
    if (rate_limit_take(gateway->stranger_limit, network, now))
        return true;
    if (now >= gateway->stranger_said) {
        gateway->stranger_said = now + SAID_EVERY_MS;
        log_warning("stranger_limited", LOG_S("client", client.address));
    }
    call_busy(call, 429, "Rate limit exceeded", 1000);
    return false;
}

static bool is_host(const char *host)
{
    size_t len = strspn(host, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "-._~:[]");
    return len > 0 && len <= HOST_MAX && host[len] == '\0';
}

char *client_origin(const struct call *call)
{
    const struct http_request *request = call_request(call);
    const char *host = http_request_header(request, "Host");
    struct client client;
    client_of(call->gateway->proxies, request, &client);
    if (!client.proxied || !host || !is_host(host))
        return NULL;
    return mem_printf("%s://%s", client.https ? "https" : "http", host);
}

json_t *client_add(const struct call *call, json_t *args)
{
    const struct http_request *request = call_request(call);
    struct client client;
    if (!request)
        return args;
    client_of(call->gateway->proxies, request, &client);
    json_object_set_new(args, "client", json_string(client.address));
    json_object_set_new(args, "request_id", json_string(http_request_trace(request)));
    return args;
}
