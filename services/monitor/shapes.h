/* What the monitor makes of the bus's answers. Pure; any thread. */
#ifndef MCPBUS_MONITOR_SHAPES_H
#define MCPBUS_MONITOR_SHAPES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define SHAPE_TASK "run_mcp_toolkit" /* what the original's Celery calls it */
#define SHAPE_QUEUE "celery"

/* Of the points of jobs.stats with steps of ten seconds: {submitted, completed, failed} a second in
 * the minute before `now`. The caller's, as are all below. */
json_t *shape_rates(const json_t *points, int64_t now);
/* {wait, run, total: {p50, p95, p99} in ms, or null without a job}: those of all points together,
 * put together from those of each. */
json_t *shape_latency(const json_t *points);

/* Seconds since 1970 of "2026-11-26T23:00:00.123456Z"; false: it is none. */
bool shape_epoch(const char *text, double *ret_seconds);

/* A job of jobs.recent or jobs.get as Flower's task; `found` may have its attempt and worker. */
json_t *shape_task(const json_t *job, const json_t *found);
/* Celery's name of a job's state. */
const char *shape_state(const char *status, int64_t attempt);
bool shape_has_ended(const char *status);

/* A worker of team_list as Flower's. */
json_t *shape_worker(const json_t *worker, double now);

#endif
