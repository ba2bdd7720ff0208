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
#include "services/monitor/answers.h"
#include "services/monitor/fleet.h"
#include "services/monitor/login.h"
#include "services/monitor/routes.h"
#include "services/settings.h"

enum {
    ID_MAX = 256,
    LOOK_TIMEOUT_MS = 2500,      /* what answers from memory, or a small query */
    READ_TIMEOUT_MS = 10 * 1000, /* what may search */
    ACT_TIMEOUT_MS = 15 * 1000,  /* outlasts a restart of PostgreSQL */
    PATIENCE_MS =
        400, /* then what was known before is shown, and silent replicas are not waited for */
    CALL_ASKS_MAX = 4,
};

struct monitor {
    struct loop *loop;
    struct bus *bus;
    const struct settings *settings;
    struct http_server *http;
    struct login *login;
    struct answers *answers;
    struct fleet *fleet;
    struct call *fleet_waiting; /* calls that wait for the fleet's first words */
    struct loop_timer *sweep;
    struct metric *asked;
};

/* A request on its way through the monitor; lives exactly as long as its HTTP request. */
struct call;
typedef void call_fn(struct call *call);
typedef void call_answer_fn(struct call *call, const struct bus_answer *answer);
typedef void call_result_fn(struct call *call, const json_t *result);

struct call_ask {
    struct call *call;
    struct asked asked;
    struct told told;
    bool there;
};

struct call {
    struct monitor *monitor;
    const struct route *route;
    uint64_t request; /* the HTTP request's id */
    char param[HTTP_PARAM_MAX + 1];
    struct login_identity who; /* of a route that is not open */

    struct call_ask asks[CALL_ASKS_MAX];
    size_t ask_count;
    call_fn *then; /* once all is there; NULL: waits for nothing */
    struct loop_timer *patience;
    struct call *fleet_next; /* in monitor->fleet_waiting */
    bool waits_for_fleet;

    uint64_t bus_call; /* under way, or 0 */
    call_answer_fn *on_answer;
    call_result_fn *answer;
    json_t *kept;  /* of the handler's, between its steps */
    int64_t until; /* the same */
    struct loop_timer *again;
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
void call_error(struct call *call, enum err error, const char *detail, int64_t retry_after_ms);
/* Answers with the error and returns true when the answer is one. */
bool call_failed(struct call *call, const struct bus_answer *answer);

/* call_ask.c: what is asked of the bus. Shared with other viewers: some questions, then `then` once
 * all are answered (at once, or later); in it, call_told(call, n) is the answer to the n-th. */
void call_ask(struct call *call, struct question question);
void call_ask_fleet(struct call *call); /* and waits for it, PATIENCE_MS at most */
void call_then(struct call *call, call_fn *then);
const struct told *call_told(const struct call *call, size_t n);
/* Answers with the error and returns true when the n-th answer is one. */
bool call_told_failed(struct call *call, size_t n);
void call_forget_asks(struct call *call); /* before further questions */
void call_fleet_settled(struct monitor *monitor);
/* For this request alone, to change something: nothing that was asked before counts any more.
 * `args` is consumed. */
void call_act(struct call *call, const char *method, json_t *args, call_answer_fn *on_answer);
/* Calls `then` in `delay_ms`. */
void call_later(struct call *call, int64_t delay_ms, call_fn *then);

/* questions.c: the questions that several routes ask. */
struct question ask_health(void), ask_workers(void), ask_database(void);
struct question ask_stats(int64_t span, int64_t step);
struct question ask_find(const char *job_id);
struct question ask_get(const json_t *found);
struct question ask_events(const json_t *found, int64_t after, int64_t limit);

/* query.c: parameters; on failure the call has been answered with a 400. */
bool query_int(struct call *call, const char *name, int64_t min, int64_t max, int64_t def,
               int64_t *ret_value);
bool query_text(struct call *call, const char *name, size_t max, const char **ret_text); /* NULL */
bool query_flag(const struct call *call, const char *name);
/* NULL, "", "All": none. A job's status, also in Celery's words. */
bool query_status(struct call *call, const char *name, const char **ret_status);

/* team.c: the workers, by the queue's word and the brokers': [{name, session, instance, host,
 * version, capacity, running, draining, lease_ms, since, memory_bytes, uptime_ms, pid, reachable}].
 * `workers`: the answer of jobs.workers, NULL without one. The caller's. */
json_t *team_list(const struct monitor *monitor, const json_t *workers);

/* Handlers. */
route_fn route_login, route_page, route_healthcheck, route_metrics, route_overview, route_stats,
    route_errors, route_jobs, route_job, route_cancel, route_retry, route_drain, route_resume,
    route_workers, route_tasks, route_task_info, route_task_result, route_task_revoke,
    route_task_abort, route_task_types, route_queues, route_not_offered;

#endif
