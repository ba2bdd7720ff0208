/* The dashboard's files, built into the program; nothing comes from elsewhere. */
#include "libcommon/http_assets.h"
#include "services/monitor/monitor.h"

void route_page(struct call *call)
{
    if (!http_assets_serve(&web_assets, call_request(call), NULL))
        call_detail(call, 404, "Not Found");
}

/* The sign-in's own addresses. */
void route_login(struct call *call)
{
    struct monitor *monitor = call->monitor;
    if (!login_serves(monitor->login, monitor->http, call_request(call)))
        call_detail(call, 404, "Not Found");
}
