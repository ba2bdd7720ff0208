#include "services/gateway/gateway.h"

const struct route routes[] = {
    {{"GET", "/"}, false, route_root},
    {{"GET", "/health"}, false, route_health},
    {{"GET", "/metrics"}, false, route_metrics},
    {{"GET", "/openapi.json"}, false, route_page},
    {{"GET", "/docs/**"}, false, route_page},
    {{"GET", "/app/**"}, false, route_app},
    {{"GET", "/auth/scopes"}, false, route_scopes},
    {{"POST", "/auth/scopes"}, false, route_begin},
    {{"GET", "/auth/callback"}, false, route_callback},
    {{"GET", "/auth/status"}, true, route_auth_status},
    {{"POST", "/auth/login"}, true, route_login},
    {{"DELETE", "/auth/logout"}, true, route_logout},
    {{"GET", "/me"}, true, route_me},
    {{"DELETE", "/me"}, true, route_forget},
    {{"POST", "/run"}, true, route_run},
    {{"GET", "/result/{job_id}"}, true, route_result},
    {{"GET", "/jobs"}, true, route_jobs},
    {{"GET", "/jobs/{job_id}/events"}, true, route_events},
    {{"POST", "/jobs/{job_id}/cancel"}, true, route_cancel},
    {{"POST", "/jobs/{job_id}/approve"}, true, route_approve},
    {{"POST", "/jobs/{job_id}/deny"}, true, route_deny},
    {{"*", "/chat/**"}, false, route_chat},
};
const struct http_routes route_table = HTTP_ROUTES(routes);
