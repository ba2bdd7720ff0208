#include "services/monitor/routes.h"

#include "services/monitor/monitor.h"

const struct route routes[] = {
    {{"GET", "/"}, .handler = route_page},
    {{"GET", "/pages/**"}, .open = true, .handler = route_page},
    {{"GET", "/style/**"}, .open = true, .handler = route_page},
    {{"GET", "/vendor/**"}, .open = true, .handler = route_page},
    {{"GET", "/login"}, .open = true, .handler = route_login},
    {{"POST", "/login"}, .open = true, .handler = route_login},
    {{"GET", "/login/google"}, .open = true, .handler = route_login},
    {{"GET", "/auth/callback"}, .open = true, .handler = route_login},
    {{"POST", "/logout"}, .open = true, .handler = route_login},
    {{"GET", "/api/session"}, .open = true, .handler = route_login},
    {{"GET", "/api/overview"}, .handler = route_overview},
    {{"GET", "/api/stats"}, .handler = route_stats},
    {{"GET", "/api/errors"}, .handler = route_errors},
    {{"GET", "/api/jobs"}, .handler = route_jobs},
    {{"GET", "/api/jobs/{id}"}, .handler = route_job},
    {{"POST", "/api/jobs/{id}/cancel"}, .handler = route_cancel},
    {{"POST", "/api/jobs/{id}/retry"}, .handler = route_retry},
    /* Flower's */
    {{"GET", "/api/workers"}, .handler = route_workers},
    {{"POST", "/api/worker/drain/{id}"}, .handler = route_drain},
    {{"POST", "/api/worker/resume/{id}"}, .handler = route_resume},
    {{"POST", "/api/worker/**"}, .handler = route_not_offered},
    {{"GET", "/api/tasks"}, .handler = route_tasks},
    {{"GET", "/api/task/info/{id}"}, .handler = route_task_info},
    {{"GET", "/api/task/result/{id}"}, .handler = route_task_result},
    {{"GET", "/api/task/types"}, .handler = route_task_types},
    {{"POST", "/api/task/revoke/{id}"}, .handler = route_task_revoke},
    {{"POST", "/api/task/abort/{id}"}, .handler = route_task_abort},
    {{"POST", "/api/task/**"}, .handler = route_not_offered},
    {{"GET", "/api/queues/length"}, .handler = route_queues},
    {{"GET", "/healthcheck"}, .open = true, .handler = route_healthcheck},
    {{"GET", "/metrics"}, .open = true, .handler = route_metrics},
};
const struct http_routes route_table = HTTP_ROUTES(routes);
