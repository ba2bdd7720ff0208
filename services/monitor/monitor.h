/* The monitor: what operators see and do, in HTTP. One loop, one thread. */
#ifndef MCPBUS_MONITOR_MONITOR_H
#define MCPBUS_MONITOR_MONITOR_H

#include <jansson.h>

#include "libcommon/buf.h"
#include "libcommon/bus.h"
#include "libcommon/http_server.h"
#include "libcommon/js.h"
#include "libcommon/loop.h"
#include "libcommon/service.h"
#include "services/monitor/login.h"
#include "services/monitor/routes.h"
#include "services/settings.h"

struct monitor {
    struct loop *loop;
    struct bus *bus;
    const struct settings *settings;
    struct http_server *http;
    struct login *login;
};

/* A request on its way through the monitor; lives exactly as long as its HTTP request. */
struct call {
    struct monitor *monitor;
    const struct route *route;
    uint64_t request; /* the HTTP request's id */
    char param[ROUTE_PARAM_MAX + 1];
    struct login_identity who; /* of a route that is not open */
};

/* monitor.c */
enum err monitor_start(struct service *service);
void monitor_drain(struct service *service);
bool monitor_drained(struct service *service);
void monitor_stop(struct service *service);

/* call.c: requests and their answers. Answering one that is gone or answered does nothing. */
struct call *call_new(struct monitor *monitor, struct http_request *request);
struct http_request *call_request(const struct call *call);  /* NULL: gone or answered */
void call_json(struct call *call, int status, json_t *body); /* consumes `body` */
void call_detail(struct call *call, int status, const char *detail);
/* The HTTP form of a bus error. */
void call_error(struct call *call, enum err error, const char *detail);

/* Handlers. */
route_fn route_login, route_page, route_healthcheck, route_metrics;

#endif
