#include "services/monitor/routes.h"

#include <string.h>

#include "services/monitor/monitor.h"

const struct route routes[] = {
    {"GET", "/", .handler = route_page},
    {"GET", "/pages/**", .open = true, .handler = route_page},
    {"GET", "/style/**", .open = true, .handler = route_page},
    {"GET", "/vendor/**", .open = true, .handler = route_page},
    {"GET", "/login", .open = true, .handler = route_login},
    {"POST", "/login", .open = true, .handler = route_login},
    {"GET", "/login/google", .open = true, .handler = route_login},
    {"GET", "/auth/callback", .open = true, .handler = route_login},
    {"POST", "/logout", .open = true, .handler = route_login},
    {"GET", "/api/session", .open = true, .handler = route_login},
    {"GET", "/healthcheck", .open = true, .handler = route_healthcheck},
    {"GET", "/metrics", .open = true, .handler = route_metrics},
};
const size_t route_count = sizeof(routes) / sizeof(*routes);
